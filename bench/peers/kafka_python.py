"""kafka-python with psycopg2, row by row: how such things usually begin."""

from .base import PythonPeer


class RowByRow(PythonPeer):
    """One INSERT and one commit per message."""
    script = "row_client.py"
    name = "row-by-row"
    title = "kafka-python + psycopg2, row by row"
    sample = 20000
    seconds_per_million = 600
