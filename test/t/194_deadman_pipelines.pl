
# Several pipelines are watched at once: one whose brokers do not answer, or
# whose row somebody holds, keeps nobody from missing the sensors of another.
# Switched off, the deadman answers what is asked of its alarms all the same; and
# of an extension that was dropped no sensor is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $far = start_broker(topics => [ 'far-data:1', 'alerts:1' ]);
my $near = start_broker(topics => [ 'near-data:1', 'alerts:1' ]);
my $node = new_node(conf => <<'CONF');
factorymon.deadman = on
factorymon.silent_after_min = 3s
factorymon.mass_silence_min = 100
factorymon.restart_delay_min = 100ms
CONF

sub sensors
{
	my ($broker, $topic, $id, $n) = @_;

	return start_producer(kafka => $broker, topic => $topic, sensor_id => $id,
		sensor_type => 'temperature', sensors => $n, sampling_interval => 0.3,
		heartbeat => 0, seed => 7);
}

sub comes_to
{
	my ($query, $expected, $name) = @_;

	return ok(poll_until($node, $query, $expected), "$name: $expected");
}

my $shown = q{SELECT shown_state FROM factorymon.alarms
	WHERE pipeline = 'near-data' AND condition = 'silent'};
my $quiet = q{SELECT silent + unknown > 0 FROM factorymon.deadman
	WHERE pipeline = 'far-data'};

create_pipeline($node, $far, topic => 'far-data', server => 'far',
	options => quick_options());
create_pipeline($node, $near, topic => 'near-data', server => 'near',
	options => quick_options());
ok(running($node, 2), 'both partitions run');
my $distant = sensors($far, 'far-data', 'distant', 6);
my $close = sensors($near, 'near-data', 'close', 1);
comes_to(q{SELECT string_agg(active::text, ' ' ORDER BY pipeline)
	FROM factorymon.deadman}, '6 1', 'all report');

# its brokers take a while for every answer, which no client calls a failure
$far->command('rtt', 'all', 30000);
comes_to($quiet, 't', 'of one pipeline nothing comes');

# nor does the row of a pipeline that an operator holds
my $operator = $node->background_psql($FactorymonTest::DBNAME);
$operator->query_safe('BEGIN');
$operator->query_safe(q{SELECT FROM _factorymon.pipeline
	WHERE name = 'near-data' FOR UPDATE});
my $log = -s $node->logfile;
$close->stop;
ok(wait_for_log($node, qr/supervisor ERROR:.*lock timeout/, $log),
	'whoever waits for a row gives up');
my $at = sql($node, 'SELECT clock_timestamp()');
comes_to("SELECT bool_and(evaluated_at > '$at') FROM factorymon.deadman WHERE pipeline = 'far-data'",
	't', 'and looks at the other pipeline');
$operator->query_safe('COMMIT');
$operator->quit;
comes_to($shown, 'active_unacknowledged',
	'a sensor of the other pipeline is missed');

# a shelving ends though nobody is missed
sql($node, 'ALTER SYSTEM SET factorymon.deadman = off');
sql($node, 'SELECT pg_reload_conf()');
sql($node, q{SELECT factorymon.shelve('close', '5 s', 'known',
	pipeline => 'near-data', condition => 'silent')});
comes_to($shown, 'shelved', 'shelved');
comes_to($shown, 'active_unacknowledged', 'and not any more');

# a pipeline of a new extension begins with no sensors
sql($node, 'ALTER SYSTEM SET factorymon.deadman = on');
sql($node, 'SELECT pg_reload_conf()');
$distant->stop;
sql($node, 'DROP EXTENSION factorymon CASCADE');
comes_to(q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type IN ('factorymon worker', 'factorymon supervisor')}, 0,
	'all leave with the extension');
sql($node, 'CREATE EXTENSION factorymon');
create_pipeline($node, $near, topic => 'near-data', server => 'near',
	options => quick_options());
ok(running($node, 1), 'a new one runs');
$close = sensors($near, 'near-data', 'new', 2);
comes_to('SELECT active FROM factorymon.deadman', 2, 'its sensors report');
is(sql($node, 'SELECT watched FROM factorymon.deadman'), 3,
	'and there is no other than that of older messages');
$close->stop;

$node->stop;
done_testing();
