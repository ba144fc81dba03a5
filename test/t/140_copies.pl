
# Copies of a database and commands that need it to themselves: DROP DATABASE,
# CREATE DATABASE ... TEMPLATE, rename, a promoted standby, pg_dump and
# pg_restore; and DROP EXTENSION.  No copy runs before somebody says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => [ 'sensor-data:3', 'other:1' ]);
my $node = new_node(init => { allows_streaming => 1 });
my $dir = PostgreSQL::Test::Utils::tempdir();
my $truth = "$dir/truth";
my $seed = 61;

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node), 'every partition runs');

sub produce
{
	my ($on, $what, %opt) = @_;

	run_producer(
		kafka => $broker, sensors => 30, rate => 0, count => 600,
		malformed => 0.02, heartbeat => 0, seed => $seed++, truth => $truth,
		%opt);
	my $total = () = lines_of($truth);
	ok(caught_up($on, $total), "$what: every message is accounted for");
	is_exact($on, [$truth], name => $what);
	return;
}

produce($node, 'at first');

# --- template, rename, drop ---------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE factory');
pass('a database with workers running can be a template');
ok(running($node), 'its workers come back');
is($node->safe_psql('copy', <<'QUERY'), 'f', 'the copy does not run');
SELECT running FROM factorymon.pipelines
QUERY
is($node->safe_psql('copy', 'SELECT count(*) FROM factorymon.sensor_readings'),
	sql($node, 'SELECT count(*) FROM factorymon.sensor_readings'),
	'but has the readings');
$node->safe_psql('postgres', 'ALTER DATABASE factory RENAME TO plant');
$node->{factorymon_db} = 'plant';
ok(running($node), 'after a rename the workers come back');
produce($node, 'renamed');
$node->safe_psql('postgres', 'DROP DATABASE copy');

# --- a standby ------------------------------------------------------------------
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$standby->{factorymon_db} = 'plant';
is($standby->safe_psql('postgres', <<'QUERY'), 0, 'a standby runs no worker');
SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^factorymon'
QUERY
my $producer = start_producer(
	kafka => $broker, sensors => 30, rate => 500, heartbeat => 1,
	seed => $seed++, truth => $truth);
my $counted = 'SELECT sum(messages) FROM factorymon.message_counters';
my $before = sql($node, $counted);
ok(poll_until($node, $counted, sub { $_[0] > $before + 500 }),
	'messages flow');
$node->stop('immediate');
$standby->promote;
ok(running($standby, 3, 90), 'a promoted standby takes over');
$before = sql($standby, $counted);
ok(poll_until($standby, $counted, sub { $_[0] > $before + 500 }),
	'and goes on in mid-stream');
is($producer->stop->{rc}, 0, 'the producer delivered everything');
my $total = () = lines_of($truth);
ok(caught_up($standby, $total), 'every message is accounted for');
is_exact($standby, [$truth], name => 'on the promoted standby');

# --- dump and restore -----------------------------------------------------------
sql($standby, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, critical_high, comment)
VALUES ('torque', 12, 'kept')
QUERY
my $dump = "$dir/dump";
$standby->command_ok(
	[ 'pg_dump', '-Fc', '-f', $dump, $standby->connstr('plant') ], 'pg_dump');
my $positions = <<'QUERY';
SELECT string_agg(concat_ws(':', topic, kafka_partition, position), ' '
	ORDER BY kafka_partition) FROM factorymon.partition_status()
QUERY
my $old_positions = sql($standby, $positions);
$standby->stop;
my $restored = new_node(name => 'restored', extension => 0);
$restored->command_ok(
	[ 'pg_restore', '-1', '-d', $restored->connstr('factory'), $dump ],
	'pg_restore -1 into a new server');
is(sql($restored, $positions), $old_positions, 'positions are kept');
is(sql($restored, 'SELECT comment FROM factorymon.threshold'), 'kept',
	'and the configuration');
is_exact($restored, [$truth], name => 'restored');
is(sql($restored, 'SELECT running FROM factorymon.pipelines'), 'f',
	'the restored pipeline does not run');
# One that is made here starts at once; what came with the dump does not.
create_pipeline($restored, undef, topic => 'other');
ok(poll_until($restored, <<'QUERY', 'other'), 'nor does any worker of it');
SELECT string_agg(DISTINCT pipeline, ' ') FROM factorymon.worker_status()
WHERE state = 'running'
QUERY
is(sql($restored, 'SELECT running FROM factorymon.pipelines WHERE name = $$other$$'),
	't', 'while a new one runs');
sql($restored, "SELECT factorymon.drop_pipeline('other')");
sql($restored, "SELECT factorymon.resume('sensor-data')");
ok(running($restored, 3, 90), 'until somebody resumes it');
produce($restored, 'after a restore', sensor_id => 'new', sensors => 5);

# --- drop --------------------------------------------------------------------------
my $log = -s $restored->logfile;
sql($restored, 'DROP EXTENSION factorymon CASCADE');
ok(poll_until($restored, <<'QUERY', 0), 'DROP EXTENSION with workers running ends them');
SELECT count(*) FROM pg_stat_activity
WHERE backend_type IN ('factorymon worker', 'factorymon supervisor')
QUERY
unlike(slurp_file($restored->logfile, $log), qr/ERROR|FATAL|PANIC/,
	'silently');
sql($restored, 'CREATE EXTENSION factorymon');
create_pipeline($restored, $broker, server => 'other', start => 'latest',
	options => quick_options());
ok(running($restored, 3, 90), 'a new one works');
my $start = time;
$restored->safe_psql('postgres', 'DROP DATABASE factory');
pass('a database with workers running can be dropped');

$restored->stop;
done_testing();
