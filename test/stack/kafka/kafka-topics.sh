#!/bin/bash
# Kafka's tool of this name, for the image that stands in for apache/kafka.
exec java -Xms16m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
	-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' \
	org.apache.kafka.tools.TopicCommand "$@"
