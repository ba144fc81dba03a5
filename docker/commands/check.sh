# shellcheck shell=bash
#
# check.sh: the commands that test, and those that kill
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

brokers()
{
	setting KAFKA_BROKERS kafka1:29092,kafka2:29092,kafka3:29092
}

# The test client, in the stack's network, or with HOST=yes on this machine's.
client()
{
	local network=${PROJECT}_default

	[[ ${HOST:-no} == no ]] || network=host
	docker image inspect factorymon-client >/dev/null 2>&1 ||
		compose_all build client
	docker run --rm --init --network "$network" factorymon-client "$@"
}

command_test-external()
{
	HOST=yes client brokers localhost:9092 localhost:9094 localhost:9096
}

command_test-topics()
{
	client topics "$(brokers)" "$(setting SENSOR_TOPIC sensor-data):3:2" \
		"$(setting ALERT_TOPIC alerts):2:2"
}

command_verify-cluster()
{
	local bad=0

	say "brokers"
	client cluster "$(brokers)" 3 || bad=1
	say "topics"
	command_test-topics || bad=1
	say "consumer group $(setting CONSUMER_GROUP sensor-processors)"
	sql -f - <docker/sql/partitions.sql
	[[ $(value "SELECT coalesce(bool_and(state = 'running'), false)
		FROM factorymon.partition_status()") == t ]] || bad=1
	((bad)) && echo "NOT OK: see above" || echo "ok: the cluster is whole"
	return "$bad"
}

command_kill-consumer()
{
	local victim

	victim=$(value "SELECT pid FROM factorymon.worker_status()
		WHERE assigned_partitions > 0 ORDER BY worker_number LIMIT 1")
	[[ -n $victim ]] || fail "no consumer has a partition (make start-consumers)"
	say "before"
	sql -f - <docker/sql/partitions.sql
	value "SELECT pg_terminate_backend($victim)" >/dev/null
	say "consumer with process id $victim is terminated; waiting for its partitions"
	wait_sql "SELECT bool_and(state = 'running' AND pid <> $victim)
		AND NOT EXISTS (SELECT FROM factorymon.worker_status()
			WHERE pid = $victim) FROM factorymon.partition_status()" 60 ||
		fail "its partitions were not taken over within a minute"
	say "after"
	sql -f - <docker/sql/partitions.sql
}

command_kill-producer()
{
	local victim

	victim=$(require_running "${SENSOR:-temperature-sensor}")
	docker kill "$victim" >/dev/null
	echo "killed $victim (SIGKILL; Docker does not start again what was killed so)"
	echo "half a minute later producer_health shows it as late, then as silent:"
	echo "make monitor; and make start-sensors brings it back"
}
