# shellcheck shell=bash
#
# engine.sh: what docker/stack knows of Docker, Compose and the database
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

# Setting $1: of the environment, else of .env, else $2.
setting()
{
	local value=${!1:-}

	[[ -n $value || ! -f .env ]] ||
		value=$(sed -n "s/^$1=//p" .env | tail -n 1)
	echo "${value:-$2}"
}

# What .env sets and nothing reads: misspelt, or a name from elsewhere.
unknown_settings()
{
	[[ -e .env ]] || return 0
	comm -23 <(sed -n 's/^\([A-Za-z_0-9]*\)=.*/\1/p' .env |
		grep -Ev '^(COMPOSE|DOCKER|BUILDKIT)_' | LC_ALL=C sort -u) \
		<(sed -n 's/^\(# \)\{0,1\}\([A-Z_0-9]*\)=.*/\2/p' .env.example |
			LC_ALL=C sort -u)
}

warn_of_settings()
{
	local name

	for name in $(unknown_settings); do
		echo "stack: nothing reads $name, which .env sets (.env.example has" \
			"what there is)" >&2
		[[ $name != CONSUMER_ID ]] || echo "stack: consumers are workers of" \
			"PostgreSQL and name themselves, factorymon-PIPELINE-NUMBER;" \
			"WORKERS says how many there are, CONSUMER_GROUP in which group" >&2
	done
}

# Set COMPOSE: the plugin, else docker-compose.
find_compose()
{
	if [[ -n ${FACTORYMON_COMPOSE:-} ]]; then
		read -ra COMPOSE <<<"$FACTORYMON_COMPOSE"
	elif docker compose version >/dev/null 2>&1; then
		COMPOSE=(docker compose)
	elif command -v docker-compose >/dev/null; then
		COMPOSE=(docker-compose)
	else
		fail "there is no Docker Compose: neither \"docker compose\" nor" \
			"docker-compose (1.29 or newer)"
	fi
}

require_docker()
{
	command -v docker >/dev/null || fail "there is no Docker (docker)"
	docker version >/dev/null 2>&1 ||
		fail "Docker does not answer: is it running, and may you use it?" \
			"$(docker version 2>&1 | tail -n 1)"
	find_compose
	PROJECT=$(setting COMPOSE_PROJECT_NAME factorymon)
	export COMPOSE_PROJECT_NAME=$PROJECT
	COMPOSE_PROFILES=$(setting COMPOSE_PROFILES "")
	[[ -z ${PROFILES:-} ]] || COMPOSE_PROFILES+=,${PROFILES// /,}
	export COMPOSE_PROFILES=${COMPOSE_PROFILES#,}
}

compose()
{
	"${COMPOSE[@]}" "$@"
}

# With everything that there may be.
compose_all()
{
	COMPOSE_PROFILES=$ALL_PROFILES compose "$@"
}

# Containers of the project, of service $1 if given: name, state, what Docker
# says of it, service; more arguments are for docker ps.
containers()
{
	local filter=(--filter "label=com.docker.compose.project=$PROJECT"
		--filter label=com.docker.compose.oneoff=False)

	[[ -z ${1:-} ]] || filter+=(--filter "label=com.docker.compose.service=$1")
	docker ps -a "${filter[@]}" "${@:2}" \
		--format '{{.Names}}\t{{.State}}\t{{.Status}}\t{{.Label "com.docker.compose.service"}}' |
		sort
}

running_container()
{
	containers "$1" --filter status=running | head -n 1 | cut -f 1
}

require_running()
{
	local name

	name=$(running_container "$1")
	[[ -n $name ]] || fail "$1 is not running (make status)"
	echo "$name"
}

sql()
{
	docker exec -i "$(require_running postgres)" psql -X -q -U postgres \
		-d factory -P footer=off -v ON_ERROR_STOP=1 "$@"
}

value()
{
	sql -At -c "$1"
}

# Wait until a query says t, for at most $2 seconds.
wait_sql()
{
	local deadline=$((SECONDS + $2))

	until [[ $(value "$1" 2>/dev/null) == t ]]; do
		((SECONDS < deadline)) || return 1
		sleep 1
	done
}

# How container with state $1 and status $2 is: ready, failed, or its state.
condition()
{
	case $1/$2 in
		running/*"(healthy)"*) echo ready ;;
		running/*"(health: starting)"*) echo starting ;;
		running/*"(unhealthy)"*) echo unhealthy ;;
		running/*) echo ready ;;
		exited/"Exited (0)"*) echo ended ;;
		exited/*) echo failed ;;
		*) echo "$1" ;;
	esac
}

# The services without a profile and those of profiles that are chosen, on a line.
# (docker-compose 1.29 lists all of them, whatever is chosen.)
chosen_services()
{
	awk -v chosen=",$COMPOSE_PROFILES," '
		function flush() { if (name != "" && wanted) printf "%s ", name; name = "" }
		/^services:/ { inside = 1; next }
		/^[a-z]/ { flush(); inside = 0 }
		inside && /^  [a-z0-9-]+:$/ { flush(); name = substr($1, 1, length($1) - 1); wanted = 1 }
		inside && /^    profiles: / {
			gsub(/[][]/, "", $2)
			wanted = index(chosen, "," $2 ",") > 0
		}' docker-compose.yml
}

# What of the services $@ (none: all that are chosen) waits, as "name (condition),
# ..."; what does something once has to have ended.
not_ready()
{
	local name state status service how list="" wanted

	wanted=" ${*:-$(chosen_services)} "
	while IFS=$'\t' read -r name state status service; do
		[[ $wanted == *" $service "* ]] || continue
		how=$(condition "$state" "$status")
		case $service/$how in
			*-init/ended | *-provision/ended) ;;
			*-init/ready | *-provision/ready) list+=", $name (running)" ;;
			*/ready) ;;
			*) list+=", $name ($how)" ;;
		esac
	done < <(containers)
	echo "${list#, }"
}

# Wait until services are healthy, and say what is awaited.
wait_ready()
{
	local began=$SECONDS deadline=$((SECONDS + ${WAIT:-300})) now last=x name

	while now=$(not_ready "$@"); [[ -n $now ]]; do
		[[ $now == "$last" ]] ||
			printf '%4d s  waiting for %s\n' $((SECONDS - began)) "$now"
		last=$now
		if [[ $now == *"(failed)"* ]] || ((SECONDS >= deadline)); then
			for name in $(sed 's/ ([^)]*)//g; s/,//g' <<<"$now"); do
				echo "--- the end of the log of $name ---"
				docker logs --tail 20 "$name" 2>&1 || true
			done
			fail "not ready after $((SECONDS - began)) s: $now"
		fi
		sleep 1
	done
	printf '%4d s  ready: %d containers run\n' $((SECONDS - began)) \
		"$(containers "" --filter status=running | wc -l)"
}

# Start services (none: all that are chosen) and wait for them.
up()
{
	local options=(-d) service

	if [[ -n ${SCALE:-} ]]; then
		[[ $SCALE =~ ^[1-9][0-9]*$ ]] || fail "SCALE=$SCALE is not a number"
		for service in "${SENSORS[@]}"; do
			(($# > 0)) && [[ " $* " != *" $service "* ]] ||
				options+=(--scale "$service=$SCALE")
		done
	fi
	compose up "${options[@]}" "$@"
	wait_ready "$@"
}
