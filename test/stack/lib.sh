# shellcheck shell=bash
#
# lib.sh: what test-stack is made of: an engine, and tests.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

TESTS=0 FAILED=0
ENGINE=""						# pid of a dockerd of ours
ENGINE_HOME=""
HAD_FORWARDING=""
work=""

give_up()
{
	echo "Bail out!  $*"
	exit 1
}

# ---------------------------------------------------------------- engine

install_packages()
{
	local missing=() program

	command -v dockerd >/dev/null || missing+=(docker.io iptables)
	command -v debootstrap >/dev/null || missing+=(debootstrap)
	docker compose version >/dev/null 2>&1 || [[ -n ${FACTORYMON_COMPOSE:-} ]] ||
		command -v docker-compose >/dev/null || missing+=(docker-compose)
	for program in curl jq kcat; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	((${#missing[@]})) || return 0
	echo "# installing ${missing[*]}"
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install \
		-y --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
		{ tail "$work/apt.log" >&2; give_up "could not install ${missing[*]}"; }
}

# The Docker that answers, or one of our own.
provide_engine()
{
	local deadline

	[[ $(id -u) == 0 ]] || give_up "this makes images of Debian: it needs root"
	install_packages
	! docker version >/dev/null 2>&1 || return 0
	ENGINE_HOME=${FACTORYMON_DOCKER_HOME:-$work/engine}
	mkdir -p "$ENGINE_HOME"
	HAD_FORWARDING=$(</proc/sys/net/ipv4/ip_forward)
	export DOCKER_HOST=unix://$ENGINE_HOME/docker.sock
	dockerd --data-root "$ENGINE_HOME/data" --exec-root "$ENGINE_HOME/exec" \
		--pidfile "$ENGINE_HOME/pid" -H "$DOCKER_HOST" \
		>"$ENGINE_HOME/log" 2>&1 </dev/null &
	ENGINE=$!
	deadline=$((SECONDS + 60))
	until docker version >/dev/null 2>&1; do
		kill -0 "$ENGINE" 2>/dev/null && ((SECONDS < deadline)) ||
			{ tail "$ENGINE_HOME/log" >&2; give_up "dockerd does not start"; }
		sleep 0.2
	done
	echo "# Docker $(docker version --format '{{.Server.Version}}') in $ENGINE_HOME"
}

ports_are_free()
{
	local port hex

	for port in "$@"; do
		printf -v hex ':%04X 0' "$port"
		! grep -q " [0-9A-F]*$hex[0-9A-F:]* 0A " /proc/net/tcp /proc/net/tcp6 ||
			give_up "port $port is in use here"
	done
}

# An engine leaves its firewall rules and its bridge behind, whoever started it.
stop_engine()
{
	docker ps -q | xargs -r docker kill >/dev/null 2>&1 || true
	kill "$ENGINE" 2>/dev/null || true
	wait "$ENGINE" 2>/dev/null || true
	[[ $HAD_FORWARDING != 0 ]] || {
		iptables -F
		iptables -X
		iptables -t nat -F
		iptables -t nat -X
		iptables -P FORWARD ACCEPT
		ip link del docker0 || true
		echo 0 >/proc/sys/net/ipv4/ip_forward
	} 2>/dev/null
}

# However we end; $1: yes if the engine shall stay.
clean_up()
{
	trap '' INT TERM HUP
	if [[ -n ${COMPOSE_PROJECT_NAME:-} && -d $work/checkout ]]; then
		make -s -C "$work/checkout" stack-clean >/dev/null 2>&1 || true
	fi
	cd /
	if [[ $1 == yes ]]; then
		[[ -z $ENGINE ]] || echo "# kept: DOCKER_HOST=$DOCKER_HOST, process $ENGINE"
		echo "# kept: $work"
		return
	fi
	[[ -z $ENGINE ]] || stop_engine
	rm -rf "$work"
}

# ---------------------------------------------------------------- tests

# Test $3: is $1 what $2 is?
is()
{
	TESTS=$((TESTS + 1))
	if [[ $1 == "$2" ]]; then
		echo "ok $TESTS - $3"
	else
		echo "not ok $TESTS - $3"
		echo "# found: $1"
		echo "# wanted: $2"
		FAILED=$((FAILED + 1))
	fi
}

# Run a command; sets rc, and output to a file with all that it said.
run()
{
	output=$work/output
	rc=0
	"$@" >"$output" 2>&1 </dev/null || rc=$?
}

# Test $3 of what ran last: it ended with $1 and said (extended expression) $2.
says()
{
	if [[ $rc != "$1" ]] || ! grep -qE -- "$2" "$output"; then
		is "exit code $rc, and not that" "exit code $1, and \"$2\"" "$3"
		tail -n 25 "$output" | sed 's/^/#   /'
	else
		is 0 0 "$3"
	fi
}

# Test $2 of what ran last: it did not say $1.
fails_not()
{
	is "$(grep -cE -- "$1" "$output")" 0 "$2"
}

# docker ps of the containers of the stack.
ours()
{
	docker ps --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" "$@"
}

container()
{
	ours -q --filter "label=com.docker.compose.service=$1" | head -n 1
}

# The services that run.
services()
{
	ours --format '{{.Label "com.docker.compose.service"}}' | sort -u |
		tr '\n' ' ' | sed 's/ $//'
}

query()
{
	docker exec -i "$(container postgres)" psql -XAtq -U postgres -d factory -c "$1"
}

# Test $3: query $2 says $1, within $4 (60) seconds.
becomes()
{
	local deadline=$((SECONDS + ${4:-60})) found

	until found=$(query "$2" 2>&1) && [[ $found == "$1" ]]; do
		((SECONDS < deadline)) || break
		sleep 1
	done
	is "$found" "$1" "$3"
}

# What is at path $2 of port $1 of this machine.
http()
{
	curl -sS --max-time 10 "http://localhost:$1$2"
}

# Test $6: a program of arguments 2 to 4 answers JSON, of which $5 is $1, within 60
# seconds.
reaches()
{
	local deadline=$((SECONDS + 60)) found

	until found=$("$2" "$3" "$4" | jq -r "$5" 2>&1) && [[ $found == "$1" ]]; do
		((SECONDS < deadline)) || break
		sleep 1
	done
	is "$found" "$1" "$6"
}

# A session of the role "dashboard" over TCP, with password $1.
client_psql()
{
	docker exec -e PGPASSWORD="$1" "$(container postgres)" psql -XAtq -h postgres \
		-U dashboard -d factory -c 'SELECT state FROM factorymon.system_status'
}

# How many messages sensors have sent: the sum of the ends of the partitions.
ends()
{
	kcat -Q -b localhost:9092 -t sensor-data:0:-1 -t sensor-data:1:-1 \
		-t sensor-data:2:-1 | awk '{ n += $NF } END { print n }'
}

# Wait until sensors have sent $1 more.
more_messages()
{
	local end deadline=$((SECONDS + 60))

	end=$(($(ends) + $1))
	while (($(ends) < end)); do
		((SECONDS < deadline)) || give_up "sensors send nothing"
		sleep 1
	done
}

compose()
{
	if [[ -n ${FACTORYMON_COMPOSE:-} ]]; then
		$FACTORYMON_COMPOSE "$@"
	elif docker compose version >/dev/null 2>&1; then
		docker compose "$@"
	else
		docker-compose "$@"
	fi
}

finish()
{
	echo "1..$TESTS"
	((FAILED)) && { echo "# $FAILED of $TESTS failed"; exit 1; }
	echo "# all $TESTS passed"
}
