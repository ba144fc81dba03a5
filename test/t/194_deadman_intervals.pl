
# How often a sensor should report may be configured: then that counts, and not
# what was learned of it, from its first reading on, and from the moment of the
# change, also while nothing comes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

# Fifty intervals of 0.3 s, as they are learned, are a limit of 15 s.
my $broker = start_broker(topics => [ 'sensor-data:2', 'alerts:1' ]);
my $node = new_node(conf => <<'CONF');
factorymon.deadman = on
factorymon.silent_after_min = 3s
factorymon.silent_after_intervals = 50
factorymon.mass_silence_min = 100
factorymon.restart_delay_min = 100ms
CONF
my %options = (kafka => $broker, sensor_type => 'temperature', heartbeat => 0,
	seed => 7);

sub sensor
{
	my ($id) = @_;

	return start_producer(%options, sensor_id => $id, sampling_interval => 0.3);
}

sub one_reading
{
	my ($id) = @_;

	return is(run_producer(%options, sensor_id => $id, count => 1)->{rc}, 0,
		"a reading of $id");
}

sub comes_to
{
	my ($query, $expected, $name) = @_;

	return ok(poll_until($node, $query, $expected), "$name: $expected");
}

sub health
{
	my ($columns, $id) = @_;

	return "SELECT concat_ws(' ', $columns) FROM factorymon.sensor_health
		WHERE sensor_id = '$id'";
}

sub alarm_of
{
	my ($id) = @_;

	return "SELECT coalesce((SELECT state FROM factorymon.alarms
		WHERE condition = 'silent' AND sensor_id = '$id'), 'none')";
}

# Of the type where no sensor is named; NULL: as it is learned.
sub expect_every
{
	my ($interval, $id) = @_;
	my $whose = defined $id ? "sensor_id = '$id'" : 'sensor_id IS NULL';

	return sql($node, "UPDATE factorymon.threshold
		SET expected_interval = $interval WHERE $whose");
}

my $used = 'expected_interval_source, expected_interval_seconds,
	silent_after_seconds';
my ($up, $returned) = ('active_unacknowledged', 'returned_unacknowledged');

create_pipeline($node, $broker, options => quick_options());
ok(running($node, 2), 'every partition runs');
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold
	(sensor_type, sensor_id, enabled, expected_interval)
VALUES ('temperature', NULL, false, '1 hour'),
	('temperature', 'quick', false, '100 ms'),
	('temperature', 'learned', false, NULL),
	('humidity', 'slow', false, '1 ms')
QUERY
my %sensors = map { $_ => sensor($_) } qw(slow quick learned);
comes_to('SELECT active, configured FROM factorymon.deadman', '3|2',
	'all report, two as configured');
is(sql($node, health($used, 'slow')), 'configured 3600 180000',
	'one as its type');
is(sql($node, health($used, 'quick')), 'configured 0.1 5', 'one by itself');
comes_to(health('expected_interval_source, expected_interval_seconds < 1,
	silent_after_seconds < 50', 'learned'), 'learned t t',
	'a row of its own that says nothing keeps the one of its type away');

# sooner, later, and as learned
$_->stop foreach values %sensors;
comes_to(alarm_of('quick'), $up, 'a short interval');
comes_to(alarm_of('learned'), $up, 'the learned one');
is(sql($node, <<'QUERY'), 'quick learned', 'in that order');
SELECT string_agg(sensor_id, ' ' ORDER BY raised_at - since)
FROM factorymon.alarms WHERE condition = 'silent'
QUERY
is(sql($node, <<'QUERY'), 't', 'and sooner than it was learned');
SELECT raised_at - since BETWEEN interval '5 s' AND interval '15 s'
FROM factorymon.alarms WHERE condition = 'silent' AND sensor_id = 'quick'
QUERY
is(sql($node, health('state, last_seen_age_seconds > 15', 'slow')), 'active t',
	'a long one is not missed when it would have been');
is(sql($node, alarm_of('slow')), 'none', 'and has no alarm');

# what changes counts at once, though nothing comes
expect_every("'200 ms'");
comes_to(alarm_of('slow'), $up, 'a shorter one');
is(sql($node, health($used, 'slow')), 'configured 0.2 10', 'is shown');
expect_every("'2 hours'");
comes_to(alarm_of('slow'), $returned, 'a longer one');
comes_to(health($used, 'slow'), 'configured 7200 360000', 'is shown');

# whoever watches may end, the server too
sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'factorymon supervisor'});
my $at = sql($node, 'SELECT clock_timestamp()');
comes_to("SELECT configured FROM factorymon.deadman
	WHERE evaluated_at > '$at'::timestamptz + interval '2 s'", 2,
	'another supervisor knows them');
$node->stop('immediate');
$node->start;
ok(running($node, 2), 'every partition runs after a crash');
comes_to('SELECT configured, alarms FROM factorymon.deadman', '2|2',
	'and they are known');
is(sql($node, alarm_of('slow')), $returned, 'nothing is raised anew');

# nobody watches: what is configured is shown all the same
$node->append_conf('postgresql.conf', 'factorymon.deadman = off');
$node->reload;
comes_to('SELECT count(*) FROM factorymon.deadman', 0, 'switched off');
is(sql($node, health("state, $used", 'slow')), 'active configured 7200 36000',
	'sensor_health goes by it');
$node->append_conf('postgresql.conf', 'factorymon.deadman = on');
$node->reload;
comes_to('SELECT configured FROM factorymon.deadman', 2, 'and on again');

# by which sensor the type has its way
expect_every("'2 hours'", 'quick');
comes_to(alarm_of('quick'), $returned, 'one is changed alone');
expect_every('NULL');
comes_to(alarm_of('slow'), $up, 'the other goes by what was learned');
comes_to('SELECT configured FROM factorymon.deadman', 1, 'as is counted');

# from the first reading on
sql($node, q{INSERT INTO factorymon.threshold
	(sensor_type, sensor_id, enabled, expected_interval)
VALUES ('temperature', 'once', false, '80 ms')});
one_reading($_) foreach qw(once untold);
comes_to(alarm_of('once'), $up, 'missed after one reading');
is(sql($node, health('state, expected_interval_source', 'untold')), 'expected',
	'of another nobody knows how often it reports');
expect_every('NULL', 'once');
comes_to(health('state', 'once'), 'expected',
	'nor of this one, when it is gone');
is(sql($node, alarm_of('once')), $up, 'which is no sign of life');
one_reading('once');
comes_to(alarm_of('once'), $returned, 'a reading is');

$node->stop;
done_testing();
