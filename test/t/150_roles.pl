
# Rights: an ordinary role owns and runs a pipeline, whatever its settings are;
# another ordinary role sees and controls nothing of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:2']);
my $node = new_node();
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';
my $seed = 71;

create_server($node, $broker, options => quick_options());
sql($node, <<'QUERY');
CREATE ROLE ingest LOGIN;
CREATE ROLE other LOGIN;
CREATE ROLE team NOLOGIN;
GRANT USAGE ON FOREIGN SERVER plant TO ingest, team;
SELECT factorymon.grant_access('admin', 'ingest');
SELECT factorymon.grant_access('admin', 'team');
CREATE USER MAPPING FOR ingest SERVER plant OPTIONS ("sasl.password" 'hidden');
ALTER ROLE ingest SET default_transaction_read_only = on;
ALTER ROLE ingest SET default_transaction_isolation = serializable;
ALTER ROLE ingest SET statement_timeout = '1ms';
ALTER ROLE ingest SET lock_timeout = '1ms';
ALTER ROLE ingest SET search_path = nowhere;
ALTER ROLE ingest SET row_security = off;
QUERY

# One statement as a role; (true or false, output or error).
sub as_role
{
	my ($role, $query) = @_;
	my ($out, $err) = ('', '');
	my $rc = $node->psql('factory', $query, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role ], on_error_stop => 1);

	return ($rc == 0, $rc == 0 ? $out : $err);
}

sub refused
{
	my ($role, $query, $pattern, $name) = @_;
	my ($ok, $text) = as_role($role, $query);

	ok(!$ok, $name) or diag "it was allowed: $text";
	like($text, $pattern, "$name: why");
	return;
}

sub produce
{
	my ($what) = @_;

	run_producer(
		kafka => $broker, sensors => 20, count => 400, rate => 0,
		heartbeat => 0, malformed => 0.02, seed => $seed++, truth => $truth);
	my $total = () = lines_of($truth);
	ok(caught_up($node, $total), "$what: every message is accounted for");
	is_exact($node, [$truth], name => $what);
	return;
}

my ($ok, $text) = as_role('ingest', <<'QUERY');
SET default_transaction_read_only = off; SET statement_timeout = 0;
SET lock_timeout = 0;
SELECT factorymon.create_pipeline('sensor-data', server => 'plant', workers => 2)
QUERY
ok($ok, 'an ordinary role creates a pipeline') or diag $text;
ok(running($node, 2), 'and it runs');
is(sql($node, <<'QUERY'), 'ingest', 'with its rights');
SELECT string_agg(DISTINCT usename::text, ',') FROM pg_stat_activity
WHERE backend_type = 'factorymon worker'
QUERY
produce('role with settings in the way');

sql($node, <<'QUERY');
CREATE TABLE public.who (name text);
GRANT INSERT ON public.who TO ingest;
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.who VALUES (current_user);
	RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT ON _factorymon.reading_1
FOR EACH STATEMENT EXECUTE FUNCTION public.note();
QUERY
produce('with a trigger');
is(sql($node, 'SELECT string_agg(DISTINCT name, \',\') FROM public.who'),
	'ingest', 'a trigger on the readings runs with the owner\'s rights');
sql($node, 'DROP TRIGGER note ON _factorymon.reading_1');

# --- somebody else ----------------------------------------------------------
refused('other', 'SELECT * FROM factorymon.sensor_readings',
	qr/permission denied/, 'others do not read');
refused('other', 'SELECT * FROM _factorymon.reading_1', qr/permission denied/,
	'nor storage');
refused('other', "SELECT factorymon.pause('sensor-data')",
	qr/permission denied/, 'nor do they pause');
refused('other', "SELECT factorymon.drop_pipeline('sensor-data')",
	qr/permission denied/, 'nor drop');
refused('other', "SELECT factorymon.create_pipeline('x', server => 'plant')",
	qr/permission denied/, 'nor create');
is((as_role('other', 'SELECT umoptions FROM pg_user_mappings'))[1], '',
	'nor see secrets');
is((as_role('team', 'SELECT umoptions FROM pg_user_mappings'))[0], '',
	'a role without LOGIN cannot even try');
sql($node, "SELECT factorymon.grant_access('reader', 'other')");
($ok, $text) = as_role('other', 'SELECT count(*) FROM factorymon.sensor_readings');
ok($ok && $text > 0, 'a reader reads');
refused('other', "SELECT factorymon.pause('sensor-data')",
	qr/permission denied/, 'a reader does not pause');
sql($node, "SELECT factorymon.grant_access('operator', 'other')");
refused('other', "SELECT factorymon.pause('sensor-data')",
	qr/permission denied/, 'nor does an operator');
sql($node, "SELECT factorymon.grant_access('engineer', 'other')");
($ok, $text) = as_role('other', "SELECT factorymon.pause('sensor-data')");
ok($ok, 'an engineer pauses') or diag $text;
($ok, $text) = as_role('other', "SELECT factorymon.resume('sensor-data')");
ok($ok, 'and resumes') or diag $text;
refused('other', "SELECT factorymon.drop_pipeline('sensor-data')",
	qr/permission denied|must be owner/, 'but does not drop');

# --- an owner who may not log in ----------------------------------------------
$node->psql('factory', <<'QUERY', stderr => \$text);
SET ROLE team;
SELECT factorymon.create_pipeline('other-topic', server => 'plant');
QUERY
like($text, qr/team.*log in|LOGIN/s, 'an owner without LOGIN gets a clear error');
my $log = -s $node->logfile;
sql($node, 'ALTER ROLE ingest NOLOGIN');
sql($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	  . "WHERE backend_type = 'factorymon worker'");
ok(wait_for_log($node, qr/pipeline "sensor-data" cannot run: its owner "ingest" .* log in/,
		$log), 'LOGIN taken away: the log says what is wrong');
sql($node, 'ALTER ROLE ingest LOGIN');
ok(running($node, 2, 90), 'given back: it runs again');
produce('at the end');

$node->stop;
done_testing();
