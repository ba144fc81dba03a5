"""confluent-kafka with psycopg2: COPY, or INSERT of many rows at a time."""

from .base import PythonPeer


class ConfluentCopy(PythonPeer):
    """Decode in Python, COPY a batch, commit, then commit to Kafka."""
    script = "confluent_client.py"
    seconds_per_million = 30

    def __init__(self, batch):
        super().__init__()
        self.batch = batch
        self.name = f"confluent-copy-{batch}"
        self.title = f"confluent-kafka + COPY, {batch:,} a batch"

    def arguments(self):
        return ["copy", str(self.batch)]


class ConfluentValues(PythonPeer):
    """The same with psycopg2's execute_values."""
    script = "confluent_client.py"
    name = "confluent-values"
    title = "confluent-kafka + execute_values"
    sample = 500000
    seconds_per_million = 60

    def arguments(self):
        return ["values", "1000"]
