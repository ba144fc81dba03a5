"""Storing alone: made rows, batch by batch, without Kafka and JSON.

What bench/store/store_bench.c does in one session, a batch as large as a
worker's and a transaction each.  The ways differ in how rows reach the table.
"""

from . import paths
from .contender import Contender
from .factorymon import PIPELINE
from .limits import make_target, measure_storing

ARGUMENTS = "smallint, bigint, int, int, timestamptz"


class Storing(Contender):
    """Into factorymon's own table, with its index."""
    family = "limit"
    seconds_per_million = 6

    def __init__(self, way, words):
        self.name = f"store-{way}"
        self.title = f"limit: storing alone, {words}"
        self.function = f"store_{way}"

    def prepare(self, run):
        """Make the table; returns its name and the function's arguments."""
        database = run.database
        database.run("CREATE SERVER bench FOREIGN DATA WRAPPER kafka "
                     'OPTIONS ("bootstrap.servers" '
                     f"'{run.cluster.bootstrap}')")
        database.run(
            "SELECT factorymon.create_pipeline(%s, server => 'bench', "
            "name => %s, consumer_group => %s, paused => true)",
            run.topic.name, PIPELINE, run.group)
        database.run("CREATE FUNCTION store_rows() RETURNS SETOF "
                     f"_factorymon.batch AS '{paths.STORE_BENCH}' LANGUAGE C")
        database.run(f"CREATE FUNCTION {self.function}({ARGUMENTS}) RETURNS "
                     f"void AS '{paths.STORE_BENCH}' LANGUAGE C")
        return "_factorymon.reading_1", ""

    def measure(self, run):
        database = run.database
        database.run("CREATE EXTENSION factorymon")
        table, more = self.prepare(run)
        batch = int(database.value(
            "SELECT current_setting('factorymon.batch_max_messages')"))
        begin = database.value("SELECT now()")

        def work():
            for first in range(0, run.topic.messages, batch):
                database.run(
                    f"SELECT {self.function}(1::smallint, %s, %s, %s, %s"
                    f"{more})", first,
                    min(batch, run.topic.messages - first),
                    run.topic.sensors, begin)

        return measure_storing(run, table, work)


class MultiInsert(Storing):
    """table_multi_insert() into a table without any index."""

    def __init__(self):
        super().__init__("multi-insert", "")
        self.name = "multi-insert"
        self.title = "limit: table_multi_insert() alone, no index"
        self.function = "store_multi_insert"

    def prepare(self, run):
        make_target(run.database)
        run.database.run(
            f"CREATE FUNCTION {self.function}({ARGUMENTS}, regclass) RETURNS "
            f"void AS '{paths.STORE_BENCH}' LANGUAGE C")
        # whatever the bounds of that partition are: nothing looks at them
        return "target", ", 'target_2'"
