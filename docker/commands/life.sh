# shellcheck shell=bash
#
# life.sh: the commands that set up, start, stop and remove
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

# A secret for each name, made once; readable in containers whoever runs there,
# and on this machine only for who may enter the folder.
make_secrets()
{
	local name

	SECRETS_MADE=no
	mkdir -p docker/secrets
	chmod 700 docker/secrets
	for name in "${SECRETS[@]}"; do
		[[ ! -s docker/secrets/$name ]] || continue
		head -c 36 /dev/urandom | base64 | tr '+/' '-_' |
			tr -d '\n' >"docker/secrets/$name"
		echo "made docker/secrets/$name"
		SECRETS_MADE=yes
	done
	for name in "${GIVEN_SECRETS[@]}"; do
		[[ -e docker/secrets/$name ]] || : >"docker/secrets/$name"
	done
	for name in "${SECRETS[@]}" "${GIVEN_SECRETS[@]}"; do
		chmod 444 "docker/secrets/$name"
	done
}

# Roles of a database that is there get the passwords of new files.  A container
# sees a file that was made anew only after its own new start.
renew_passwords()
{
	local service running=()

	echo "the database gets new passwords, and who uses them starts anew"
	docker restart -t 60 "$(running_container postgres)" >/dev/null
	wait_ready postgres
	docker exec "$(running_container postgres)" \
		/docker-entrypoint-initdb.d/10-factorymon.sh
	for service in dashboard grafana metabase superset alertmanager sms-bridge; do
		[[ -z $(running_container "$service") ]] || running+=("$service")
	done
	((${#running[@]})) || return 0
	compose_all restart "${running[@]}"
	wait_ready "${running[@]}"
}

command_setup()
{
	if [[ ! -e .env ]]; then
		cp .env.example .env
		echo "made .env: your settings"
	fi
	warn_of_settings
	make_secrets
	compose config -q
	[[ $SECRETS_MADE == no || -z $(running_container postgres) ]] ||
		renew_passwords
	echo "set up: ${COMPOSE[*]} $(compose version --short), project $PROJECT"
}

set_up_once()
{
	local name

	for name in .env "${SECRETS[@]/#/docker/secrets/}" \
		"${GIVEN_SECRETS[@]/#/docker/secrets/}"; do
		[[ -e $name ]] || { command_setup; return; }
	done
	warn_of_settings
}

# What "make stop-consumers" and the like have paused runs again; what somebody
# paused for reasons of their own stays so.
readonly OUR_REASON='by the commands of the stack'

resume_ingest()
{
	local paused

	paused=$(value "SELECT string_agg(format('%s (%s: %s)', name, paused_by,
		coalesce(pause_reason, 'no reason given')), ', ')
		FROM factorymon.pipelines WHERE paused_at IS NOT NULL
		AND pause_reason IS DISTINCT FROM '$OUR_REASON'")
	if [[ -n $paused && ${1:-} != all ]]; then
		echo "still paused: $paused; make start-consumers resumes it"
		return
	fi
	value "SELECT factorymon.resume(name) FROM factorymon.pipelines
		WHERE paused_at IS NOT NULL" >/dev/null
	wait_sql "SELECT coalesce(bool_and(state = 'running'), false)
		FROM factorymon.system_status" 60 || {
		show_pipeline
		fail "ingest did not start within a minute (make logs-consumers)"
	}
	echo "ingest runs"
}

# The profile "cities" brings a pipeline of its own with it, also where the
# database was made without.
make_city_pipeline()
{
	local topic pipelines

	[[ ,$COMPOSE_PROFILES, == *,cities,* ]] || return 0
	topic=$(setting CITY_TOPIC city-weather)
	pipelines=$(value 'SELECT count(*) FROM factorymon.pipelines')
	docker exec -e CITIES=1 -e "CITY_TOPIC=$topic" \
		"$(require_running postgres)" \
		/docker-entrypoint-initdb.d/10-factorymon.sh >/dev/null
	[[ $(value 'SELECT count(*) FROM factorymon.pipelines') == "$pipelines" ]] ||
		echo "made the pipeline $topic"
}

pause_ingest()
{
	value "SELECT factorymon.pause(name, reason => '$OUR_REASON')
		FROM factorymon.pipelines WHERE running" >/dev/null
	wait_sql "SELECT NOT bool_or(state = 'running')
		FROM factorymon.partition_status()" 60 ||
		fail "ingest did not stop within a minute"
	echo "ingest is paused; Kafka keeps what sensors send"
}

urls()
{
	local address

	address=$(setting BIND_ADDRESS 127.0.0.1)
	[[ $address != 127.0.0.1 && $address != 0.0.0.0 ]] || address=localhost
	say "where things are"
	url dashboard "http://$address:$(setting MONITORING_PORT 5000)/"
	url kafka-ui "http://$address:$(setting KAFKA_UI_PORT 8080)/"
	url prometheus "http://$address:$(setting PROMETHEUS_PORT 9090)/"
	url alertmanager "http://$address:$(setting ALERTMANAGER_PORT 9093)/"
	url grafana "http://$address:$(setting GRAFANA_PORT 3001)/" \
		" (admin, docker/secrets/grafana_admin_password)"
	url metabase "http://$address:$(setting METABASE_PORT 3000)/" \
		" ($(setting METABASE_ADMIN_EMAIL admin@example.com), docker/secrets/metabase_admin_password)"
	url superset "http://$address:$(setting SUPERSET_PORT 8088)/" \
		" (admin, docker/secrets/superset_admin_password)"
	url postgres "psql -h $address -p $(setting POSTGRES_PORT 5432) -U operator factory" \
		" (password: docker/secrets/operator_password)"
	url kafka1 "$address:9092, $address:9094, $address:9096"
}

url()
{
	[[ -z $(running_container "$1") ]] || printf '  %-12s %s\n' "$1" "$2${3:-}"
}

command_start()
{
	set_up_once
	up
	make_city_pipeline
	resume_ingest
	urls
}

command_stack()
{
	command_setup
	command_build-all
	command_start
}

command_full-start()
{
	set_up_once
	say "infrastructure"
	up "${INFRASTRUCTURE[@]}"
	say "consumers"
	resume_ingest all
	say "monitoring"
	up "${MONITORING[@]}"
	say "sensors, and what else is chosen"
	up
	make_city_pipeline
	urls
}

command_stop()
{
	compose_all stop
}

command_infrastructure-only()
{
	set_up_once
	compose_all stop "${SENSORS[@]}" "${MONITORING[@]}"
	up "${INFRASTRUCTURE[@]}"
	pause_ingest
	urls
}

command_with-consumers()
{
	set_up_once
	up "${INFRASTRUCTURE[@]}"
	resume_ingest all
	urls
}

command_with-monitoring()
{
	set_up_once
	up "${INFRASTRUCTURE[@]}" "${MONITORING[@]}"
	resume_ingest all
	urls
}

command_start-monitoring()
{
	set_up_once
	up "${MONITORING[@]}"
	urls
}

command_stack-clean()
{
	local names volumes

	names=$(containers | cut -f 1 | tr '\n' ' ')
	volumes=$(docker volume ls -q \
		--filter "label=com.docker.compose.project=$PROJECT" | tr '\n' ' ')
	echo "removing containers: ${names:-none}"
	echo "removing volumes, with everything that was stored: ${volumes:-none}"
	compose_all down -v --remove-orphans
	echo "kept: images, .env, docker/secrets"
}

# ---------------------------------------------------------------- parts

command_build-all()
{
	compose_all build postgres temperature-sensor dashboard client
}

command_build-sensors()
{
	compose build temperature-sensor
}

command_build-consumers()
{
	compose build postgres
}

command_start-sensors()
{
	set_up_once
	up "${SENSORS[@]}"
}

command_stop-sensors()
{
	compose stop "${SENSORS[@]}"
}

command_start-consumers()
{
	resume_ingest all
}

command_stop-consumers()
{
	pause_ingest
}
