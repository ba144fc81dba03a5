"""All contenders by name, in the order of the tables."""

from factorybench.factorymon import Factorymon
from factorybench.limits import Consume, Copy, Decode

from .confluent import ConfluentCopy, ConfluentValues
from .kafka_python import RowByRow
from .kcat import Kcat
from .telegraf import Telegraf

REGISTRY = {contender.name: contender for contender in (
    Copy("text"), Copy("binary"), Consume(), Decode(),
    Factorymon(1), Factorymon(2), Factorymon(3),
    Telegraf(), Kcat(), ConfluentCopy(1000), ConfluentCopy(5000),
    ConfluentValues(), RowByRow(),
)}

QUICK = ("copy-text", "copy-binary", "consume", "decode", "factorymon-1",
         "factorymon-2", "factorymon-3", "telegraf", "kcat",
         "confluent-copy-5000")
