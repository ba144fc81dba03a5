/* Options of wrapper kafka: which librdkafka properties whom, how checked. */
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factorymon;
RESET client_min_messages;

/* names */
CREATE SERVER a FOREIGN DATA WRAPPER kafka;
CREATE SERVER a FOREIGN DATA WRAPPER kafka OPTIONS ("bootstrap.servers" '');
CREATE SERVER a FOREIGN DATA WRAPPER kafka OPTIONS ("bootstrap.server" 'x');
CREATE SERVER a FOREIGN DATA WRAPPER kafka OPTIONS ("bootstrap.servers " 'x');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "fetch.wait.max.ms " '5');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "Fetch.Wait.Max.Ms" '5');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "metadata.broker.list" 'y');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "quite.something.else" 'x');
ALTER FOREIGN DATA WRAPPER kafka OPTIONS (ADD "bootstrap.servers" 'x');

/* what factorymon sets itself, and what is nobody's to set */
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "enable.auto.commit" 'true');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "group.id" 'g');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', debug 'all');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "plugin.library.paths" 'evil');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "sasl.kerberos.kinit.cmd" 'rm');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "test.mock.num.brokers" '3');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "linger.ms" '5');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', rebalance_cb '0');

/* values are checked by the library, and secrets never repeated */
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "session.timeout.ms" 'soon');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "security.protocol" 'telnet');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "session.timeout.ms" '4294967297');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "partition.assignment.strategy" 'cooperative-sticky');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "sasl.mechanism" 'scram-sha-512');

/* a list of brokers is one */
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'kafka1:9092 kafka2:9092');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'kafka1:9092,,kafka2');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'kafka1:99092');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'http://kafka1:9092/');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'SSL://kafka1:9092, [::1]:9092,kafka3');
DROP SERVER a;

/* secrets belong into the user mapping */
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "sasl.password" 'hidden');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "ssl.key.pem" 'hidden');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "sasl.username" 'u');

/* SASL without a mechanism would be Kerberos */
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "security.protocol" 'SASL_SSL');
CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "security.protocol" 'SASL_SSL',
	"sasl.mechanism" 'PLAIN', "sasl.mechanisms" 'SCRAM-SHA-256');

CREATE SERVER a FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1', "security.protocol" 'sasl_ssl',
	"sasl.mechanism" 'SCRAM-SHA-512', "fetch.wait.max.ms" '100');
ALTER SERVER a OPTIONS (SET "fetch.wait.max.ms" '-7');
ALTER SERVER a OPTIONS (DROP "bootstrap.servers");
CREATE USER MAPPING FOR CURRENT_USER SERVER a
	OPTIONS ("sasl.username" 'u', "sasl.password" 'hidden');
CREATE USER MAPPING FOR PUBLIC SERVER a OPTIONS ("bootstrap.servers" 'x');
CREATE USER MAPPING FOR PUBLIC SERVER a OPTIONS ("sasl.usrname" 'x');
CREATE USER MAPPING FOR PUBLIC SERVER a OPTIONS ("sasl.password " 'hidden');
CREATE FOREIGN TABLE t (i int) SERVER a OPTIONS (topic 'x');

/* files, URLs and Kerberos are for superusers */
CREATE ROLE regress_options_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER kafka TO regress_options_owner;
SET ROLE regress_options_owner;
CREATE SERVER b FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "ssl.ca.location" '/etc/passwd');
CREATE SERVER b FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "security.protocol" 'SASL_PLAINTEXT',
	"sasl.mechanism" 'GSSAPI');
CREATE SERVER b FOREIGN DATA WRAPPER kafka OPTIONS ("bootstrap.servers" 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER b
	OPTIONS ("ssl.key.location" '/etc/passwd');
CREATE USER MAPPING FOR CURRENT_USER SERVER b
	OPTIONS ("sasl.kerberos.principal" 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER b
	OPTIONS ("sasl.username" 'u', "sasl.password" 'hidden');
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'a';
RESET ROLE;
ALTER SERVER b OPTIONS (ADD "ssl.ca.location" '/etc/ssl/certs/ca.pem');
SET ROLE regress_options_owner;
ALTER SERVER b OPTIONS (SET "bootstrap.servers" 'y');
ALTER SERVER b OPTIONS (SET "bootstrap.servers" 'y', DROP "ssl.ca.location");
RESET ROLE;
ALTER USER MAPPING FOR regress_options_owner SERVER b
	OPTIONS (ADD "sasl.kerberos.principal" 'me; rm -rf /');

/* an unreachable cluster is an answer, not an error */
SELECT item, ok FROM factorymon.check_server('a') ORDER BY item;
SELECT * FROM factorymon.check_server('nowhere');

/* what slipped into the catalogs unchecked is found when it is used */
BEGIN;
ALTER FOREIGN DATA WRAPPER kafka NO VALIDATOR;
CREATE SERVER c FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" 'x', "plugin.library.paths" 'evil');
SAVEPOINT s;
SELECT * FROM factorymon.check_server('c');
ROLLBACK TO s;
ALTER SERVER c OPTIONS (DROP "plugin.library.paths", ADD "sasl.password" 'hidden');
SAVEPOINT s;
SELECT * FROM factorymon.check_server('c');
ROLLBACK TO s;
ALTER SERVER c OPTIONS (DROP "sasl.password", ADD "security.protocol" 'sasl_ssl');
SELECT * FROM factorymon.check_server('c');
ROLLBACK;
CREATE FOREIGN DATA WRAPPER regress_other;
CREATE SERVER d FOREIGN DATA WRAPPER regress_other;
SELECT * FROM factorymon.check_server('d');
DROP SERVER d;
DROP FOREIGN DATA WRAPPER regress_other;

/* a client that the library refuses is an answer, too */
ALTER SERVER a OPTIONS (ADD "max.poll.interval.ms" '1000');
SELECT item, ok FROM factorymon.check_server('a') WHERE item = 'client';
ALTER SERVER a OPTIONS (DROP "max.poll.interval.ms");
GRANT USAGE ON SCHEMA factorymon TO regress_options_owner;
GRANT EXECUTE ON FUNCTION factorymon.check_server(text)
	TO regress_options_owner;
SET ROLE regress_options_owner;
SELECT * FROM factorymon.check_server('a');
RESET ROLE;

SET client_min_messages = warning;
DROP SERVER a, b CASCADE;
RESET client_min_messages;
REVOKE ALL ON FUNCTION factorymon.check_server(text) FROM regress_options_owner;
REVOKE ALL ON SCHEMA factorymon FROM regress_options_owner;
DROP OWNED BY regress_options_owner;
DROP ROLE regress_options_owner;
