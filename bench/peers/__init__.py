"""All contenders by name, in the order of the tables."""

from factorybench.alarming import (
    Alarming, Detecting, Held, Unjudged, Unpublished)
from factorybench.factorymon import Factorymon
from factorybench.limits import Consume, Copy, Decode
from factorybench.storing import MultiInsert, Storing

from .confluent import ConfluentCopy, ConfluentValues
from .debezium import Debezium
from .kafka_python import RowByRow
from .kcat import Kcat
from .rsyslog import Rsyslog
from .spark import Spark
from .telegraf import Telegraf

REGISTRY = {contender.name: contender for contender in (
    Copy("text"), Copy("binary"), MultiInsert(),
    Storing("direct", "past the executor"),
    Storing("executor", "through a foreign table"),
    Storing("function", "through a function"),
    Consume(), Decode(), Decode(processes=2),
    Factorymon(1), Factorymon(2), Factorymon(3),
    Factorymon(1, "plain-index", "index row by row",
               [("factorymon.direct_index_insert", "off")]),
    Factorymon(1, "executor", "through the executor",
               [("factorymon.direct_insert", "off")]),
    Factorymon(1, "batch-5000", "batches of 5,000",
               [("factorymon.batch_max_messages", "5000")]),
    Factorymon(1, "batch-20000", "batches of 20,000",
               [("factorymon.batch_max_messages", "20000")]),
    Factorymon(2, "no-wait", "synchronous_commit off",
               [("synchronous_commit", "off")]),
    Detecting(), Unjudged(), Alarming(), Unpublished(), Held(),
    Telegraf(), Kcat(), Debezium(), Spark(),
    ConfluentCopy(1000), ConfluentCopy(5000), Rsyslog(), ConfluentValues(),
    RowByRow(),
)}

QUICK = ("copy-text", "copy-binary", "multi-insert", "consume", "decode", "factorymon-1",
         "factorymon-1-no-limits", "factorymon-1-alarms",
         "factorymon-2", "factorymon-3", "telegraf", "kcat")
