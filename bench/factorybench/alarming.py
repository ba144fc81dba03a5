"""What alarms cost: ingest without any limits, and with many transitions.

Beside factorymon-1, which has the limits that are built in: no limits at all;
all detectors, each with alarms, and limits without delays and deadbands, so
that about a hundredth of the readings cause a transition (the share is
noted); and factorymon-1 beside sessions that hold what they should not.
"""

from .factorymon import Factorymon


class Unjudged(Factorymon):
    """No reading meets a limit."""

    def __init__(self):
        super().__init__(1, "no-limits", "no limits")

    def prepare(self, run):
        super().prepare(run)
        run.database.run(
            "INSERT INTO factorymon.threshold (sensor_type, enabled) "
            "SELECT sensor_type, false FROM factorymon.default_thresholds()")


class Detecting(Factorymon):
    """With all detectors on, each with alarms."""

    def __init__(self, variant="detectors", words="all detectors with alarms"):
        super().__init__(1, variant, words)

    def prepare(self, run):
        super().prepare(run)
        run.database.run(
            "INSERT INTO factorymon.detector (sensor_type, detector, alarm) "
            "SELECT sensor_type, detector, true "
            "FROM factorymon.default_sensor_types(), "
            "factorymon.default_detectors()")


class Alarming(Detecting):
    """Limits that call at each excursion, and all detectors."""
    uses_brokers_most = True
    # Keeps its delays, so that it is a hundredth of the readings, not more.
    spared_type = "pressure"

    def __init__(self, variant="alarms", words="detectors and many alarms"):
        super().__init__(variant, words)

    def prepare(self, run):
        super().prepare(run)
        run.database.run(
            "INSERT INTO factorymon.threshold (sensor_type, critical_low, "
            "warning_low, warning_high, critical_high) "
            "SELECT sensor_type, critical_low, warning_low, warning_high, "
            "critical_high FROM factorymon.default_thresholds() "
            "WHERE sensor_type <> %s", self.spared_type)

    def details(self, run):
        readings, transitions, causes = run.database.rows(
            f"SELECT (SELECT count(*) FROM {self.table}), count(*), "
            "count(DISTINCT (stream_id, kafka_offset, reading_index)) "
            "FROM _factorymon.transition")[0]
        went_out, delivered = run.database.rows(
            "SELECT count(*), count(*) FILTER (WHERE state = 'delivered') "
            "FROM factorymon.alert_outbox")[0]
        return {**super().details(run), "alarms":
                f"{transitions:,} transitions, caused by "
                f"{100 * causes / readings:.2f} % of the readings; Kafka had "
                f"{delivered:,} of {went_out:,} events soon after the last "
                "reading was stored"}


class Unpublished(Alarming):
    """The same without a topic to publish to: Kafka's brokers, which share
    the machine here and do not in a plant, have nothing to do with it."""

    options = ", alert_topic => ''"
    uses_brokers_most = False

    def __init__(self):
        super().__init__("unpublished", "many alarms, not sent to Kafka")


class Held(Factorymon):
    """Beside a listener that is idle in a transaction, and an operator's
    transaction that stays open after a request."""

    def __init__(self):
        super().__init__(1, "held", "beside open transactions")
        self._sessions = []

    def start(self, run):
        super().start(run)
        self._open(run, "LISTEN factorymon_alerts", "SELECT 1")

    def observe(self, run, seen):
        super().observe(run, seen)
        if len(self._sessions) == 1:
            self._open(run, "SELECT 1",
                       "SELECT factorymon.suppress(sensor_id, 'held') FROM "
                       "factorymon.sensor_readings LIMIT 1")

    def _open(self, run, before, within):
        """A session that has done the first and is amid the second."""
        database = run.database
        session = type(database)(database.server, database.name)
        self._sessions.append(session)
        session.run(before)
        session.run("BEGIN")
        session.run(within)

    def stop(self, run):
        for session in self._sessions:
            session.close()
        self._sessions = []
        super().stop(run)
