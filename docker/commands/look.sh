# shellcheck shell=bash
#
# look.sh: the commands that show how things are
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

show_pipeline()
{
	sql -c "SELECT pipeline, state, workers_running || '/' || workers AS workers,
		partitions_running || '/' || partitions AS partitions,
		lag_messages AS lag, round(messages_per_second::numeric, 1) AS \"msg/s\",
		readings, rejected, alarms_critical AS critical,
		alarms_warning AS warning, producers_active AS producers,
		producers_missing AS missing FROM factorymon.system_status"
}

command_status()
{
	local name state status

	say "containers"
	while IFS=$'\t' read -r name state status _; do
		printf '  %-36s %-10s %s\n' "$name" \
			"$(condition "$state" "$status")" "$status"
	done < <(containers)
	if [[ -n $(running_container postgres) ]]; then
		say "pipeline"
		show_pipeline
	fi
	urls
}

command_health()
{
	local bad=0 waiting port

	[[ -n $(containers) ]] || fail "nothing is there (make start)"
	waiting=$(not_ready)
	if [[ -n $waiting ]]; then
		echo "NOT OK  containers: $waiting"
		bad=1
	else
		echo "ok      containers: all healthy"
	fi
	waiting=$(value "SELECT string_agg(pipeline || ' is ' || state, ', ')
		FROM factorymon.system_status WHERE state <> 'running'") || waiting=unknown
	if [[ -n $waiting ]]; then
		echo "NOT OK  ingest: $waiting"
		bad=1
	else
		echo "ok      ingest: running"
	fi
	waiting=$(value "SELECT string_agg(producer || ' is ' || state, ', ')
		FROM factorymon.producer_health WHERE state IN ('silent', 'late', 'unknown')") ||
		waiting=unknown
	[[ -z $waiting ]] || { echo "NOT OK  producers: $waiting"; bad=1; }
	[[ -n $waiting ]] || echo "ok      producers: none is missing"
	port=$(setting MONITORING_PORT 5000)
	if docker exec "$(require_running dashboard)" http-answers 5000 \
		/api/system-status; then
		echo "ok      dashboard: answers (port $port)"
	else
		echo "NOT OK  dashboard: does not answer"
		bad=1
	fi
	return "$bad"
}

logs()
{
	local options=(--tail "${TAIL:-100}")

	[[ ${FOLLOW:-yes} == no ]] || options+=(-f)
	compose logs "${options[@]}" "$@"
}

command_logs-sensors()
{
	logs "${SENSORS[@]}"
}

# The server's log holds everything; what our processes say carries their type.
command_logs-consumers()
{
	local options=(--tail "${TAIL:-1000}")

	[[ ${FOLLOW:-yes} == no ]] || options+=(-f)
	docker logs "${options[@]}" "$(require_running postgres)" 2>&1 |
		grep --line-buffered -E '\] factorymon |factorymon' ||
		echo "(nothing yet)"
}

# Show $1 again and again, until Ctrl-C or COUNT looks.
watching()
{
	local look=1 last=${COUNT:-0}

	[[ ${FOLLOW:-yes} != no ]] || last=1
	while true; do
		[[ ! -t 1 ]] || printf '\033[H\033[2J'
		printf '%s   (Ctrl-C ends)\n\n' "$(date +%T)"
		"$1"
		((last == 0 || look < last)) || return 0
		look=$((look + 1))
		sleep 2
	done
}

look_at_all()
{
	show_pipeline
	sql -f - <docker/sql/monitor.sql
}

command_monitor()
{
	watching look_at_all
}

command_monitor-sensors()
{
	local arguments=()

	[[ ${FOLLOW:-yes} != no && -z ${COUNT:-} ]] || arguments=("${COUNT:-5}")
	client messages "$(brokers)" "$(setting SENSOR_TOPIC sensor-data)" \
		"${arguments[@]}"
}

look_at_alerts()
{
	sql -f - <docker/sql/alerts.sql
}

command_monitor-alerts()
{
	watching look_at_alerts
}
