#!/bin/bash
#
# 10-factorymon.sh: make of an empty database the one of the stack.
#
# Runs once, when the data folder is new, and again whenever "make setup" made
# new passwords or the stack got new readers (docker/stack calls it): what is
# there stays, passwords become what the secrets say.
#
#	KAFKA_BROKERS, SENSOR_TOPIC, ALERT_TOPIC, CONSUMER_GROUP, WORKERS
#	KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, and
#	/run/secrets/kafka_sasl_password   for brokers that want a login
#	/run/secrets/NAME_password         for each role below
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

set -euo pipefail

run()
{
	psql -X -q -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" \
		-d "${POSTGRES_DB:-postgres}" "$@"
}

# The role $1 with the password of its secret; $2: what grant_access() gives it.
# Without a password nobody gets in: the server asks for one.
role()
{
	local name=$1 kind=${2:-} password=""

	[[ ! -r /run/secrets/${name}_password ]] ||
		password=$(</run/secrets/"${name}"_password)
	run -v name="$name" -v kind="$kind" -v password="$password" <<-'SQL'
		SELECT format('CREATE ROLE %I LOGIN', :'name')
		WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
		SELECT format('ALTER ROLE %I PASSWORD %L', :'name', :'password')
		WHERE :'password' <> '' \gexec
		SELECT factorymon.grant_access(:'kind', :'name') WHERE :'kind' <> ''
		\g /dev/null
	SQL
}

# The database $1 of the role $1, for programs that keep something.
database()
{
	run -v name="$1" <<-'SQL'
		SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
		WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
	SQL
}

run <<-'SQL'
	SET client_min_messages = warning;
	CREATE EXTENSION IF NOT EXISTS factorymon;
SQL

# Who owns the pipeline: its workers have this role's rights and no others.
role factory_owner admin
role dashboard reader
role grafana reader
role metabase reader
role superset reader
role operator operator
role metabase_app
database metabase_app

run -v brokers="$KAFKA_BROKERS" -v topic="$SENSOR_TOPIC" \
	-v cities="${CITIES:+${CITY_TOPIC:-}}" \
	-v alerts="$ALERT_TOPIC" -v consumer_group="$CONSUMER_GROUP" \
	-v workers="$WORKERS" -v protocol="${KAFKA_SECURITY_PROTOCOL:-plaintext}" \
	-v mechanism="${KAFKA_SASL_MECHANISM:-}" \
	-v username="${KAFKA_SASL_USERNAME:-}" <<-'SQL'
	SET client_min_messages = warning;
	CREATE SERVER IF NOT EXISTS plant FOREIGN DATA WRAPPER kafka OPTIONS
		("bootstrap.servers" :'brokers', "security.protocol" :'protocol');
	SELECT $$ALTER SERVER plant OPTIONS (ADD "sasl.mechanism" $$
		|| quote_literal(:'mechanism') || ')'
	WHERE :'mechanism' <> '' AND NOT EXISTS (
		SELECT FROM pg_foreign_server WHERE srvname = 'plant'
		AND 'sasl.mechanism=' || :'mechanism' = ANY (srvoptions)) \gexec
	GRANT USAGE ON FOREIGN SERVER plant TO factory_owner;
	\if :{?username}
	\set password `cat /run/secrets/kafka_sasl_password 2>/dev/null || true`
	SELECT 'CREATE USER MAPPING FOR factory_owner SERVER plant OPTIONS '
		|| format($$("sasl.username" %L, "sasl.password" %L)$$, :'username',
			:'password')
	WHERE :'username' <> '' AND NOT EXISTS (
		SELECT FROM pg_user_mappings WHERE srvname = 'plant') \gexec
	\endif
	SET ROLE factory_owner;
	SELECT factorymon.create_pipeline(:'topic', server => 'plant',
		consumer_group => :'consumer_group', workers => :'workers'::integer,
		alert_topic => :'alerts')
	WHERE NOT EXISTS (SELECT FROM factorymon.pipelines)
	\g /dev/null
	SELECT factorymon.create_pipeline(:'cities', server => 'plant',
		format => 'city', consumer_group => :'consumer_group' || '-cities',
		alert_topic => :'alerts')
	WHERE :'cities' NOT IN ('', :'topic')
		AND NOT EXISTS (SELECT FROM factorymon.pipelines WHERE name = :'cities')
	\g /dev/null
SQL
echo "factorymon: database \"${POSTGRES_DB:-postgres}\" is ready"
