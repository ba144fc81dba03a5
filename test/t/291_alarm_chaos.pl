
# Alarms through chaos on Apache Kafka: while readings come, workers and the
# publisher are terminated and killed, the server is stopped hard, brokers are
# killed, in an order that a seed decides.  At the end the history of each alarm
# is what a second server has that read the same messages undisturbed, and the
# topic "alerts" has each event, those of an alarm in order.  Readings without
# keys, which go to any partition, keep what can be promised of them.
#
# Environment: FACTORYMON_SEED, to see an order again; FACTORYMON_LONG=1, for
# six faults of each kind and 200,000 messages instead of one and 20,000.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonAlerts;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my $long = $ENV{FACTORYMON_LONG} ? 1 : 0;
my $seed = $ENV{FACTORYMON_SEED} // (time ^ $$ << 4) % 1_000_000;
my $times = $long ? 6 : 1;
my $wanted = $long ? 200_000 : 20_000;
my $total = $wanted + $wanted / 10;    # with those without keys
my $patience = 300;    # seconds: everything here competes for few cores
my @kinds = qw(worker publisher kill_worker kill_publisher server broker);

srand($seed);
my @plan = sort { $a->{turn} <=> $b->{turn} }
  map { my $kind = $_; map { { kind => $kind, turn => rand, dice => rand } } 1 .. $times }
  @kinds;
diag "seed $seed: " . join ' ', map { $_->{kind} } @plan;
$ENV{PGCTLTIMEOUT} = $patience;

my $kafka = start_kafka(
	topics => [ 'sensor-data:3:2', 'unkeyed:3:2', 'alerts:2:2' ],
	default_topics => 0);
my $node = new_node(conf => "factorymon.restart_delay_min = '200ms'\n");
my $stored = 'SELECT sum(messages + rejected + other) '
  . 'FROM factorymon.message_counters';

# Limits that make alarms of every kind: the simulated values wander about the
# base of their type.
sub set_limits
{
	my ($server) = @_;

	sql($server, <<'QUERY');
INSERT INTO factorymon.threshold (pipeline, sensor_type, warning_low,
	warning_high, critical_high, deadband, on_delay, off_delay,
	re_alarm_after)
VALUES ('sensor-data', 'temperature', 23, 27, 30, 0.5, '6 s', '30 s', NULL),
	('sensor-data', 'humidity', 44, 47, 52, 0.3, '0', '10 s', NULL),
	('sensor-data', 'pressure', 5.9, 6.1, 6.5, 0, '0', '0', '5 min'),
	('sensor-data', 'vibration', NULL, 2.2, 3, 0.1, '8 s', '0', NULL),
	('sensor-data', 'energy', 95, 105, 120, 1, '0', '20 s', NULL),
	('unkeyed', 'temperature', 24, 26, 28, 0, '0', '0', NULL);
QUERY
	return;
}

# What happened to alarms because of readings, one line a transition.
sub history
{
	my ($server) = @_;

	return sql($server, <<'QUERY');
SELECT event_id, alarm_id, seq, condition, transition, state, announced, level,
	side, previous_state, previous_level, severity, sensor_id, value, "limit",
	deadband, quality, event_time, since, raised_at, blocked_by,
	kafka_partition, kafka_offset, ordinal
FROM factorymon.alerts WHERE pipeline = 'sensor-data' AND cause = 'data'
ORDER BY kafka_partition, kafka_offset, ordinal
QUERY
}

sub process
{
	my ($type) = @_;
	my $pid;

	poll_while("a $type", sub { ($pid) = worker_pids($node, $type) }, $patience);
	return $pid;
}

sub terminate
{
	my ($type) = @_;

	return sql($node, 'SELECT pg_terminate_backend(' . process($type) . ')') eq 't';
}

sub kill_hard
{
	my ($type) = @_;
	my $log = -s $node->logfile;

	return kill('KILL', process($type))
	  && wait_for_log($node, qr/all server processes terminated; reinit/,
		$log, $patience)
	  && poll_until($node, 'SELECT 1', 1, $patience);
}

sub restart_server
{
	$node->stop('immediate');
	return $node->start;
}

sub kill_broker
{
	my ($dice) = @_;
	my $number = 1 + int($dice * 3);

	$kafka->kill_broker($number);
	$kafka->restart_broker($number);
	return poll_while('every replica to be in sync',
		sub { ($kafka->try_admin('wait-in-sync'))[0] }, $patience);
}

my %fault = (
	worker => sub { terminate('worker') },
	publisher => sub { terminate('publisher') },
	kill_worker => sub { kill_hard('worker') },
	kill_publisher => sub { kill_hard('publisher') },
	server => \&restart_server,
	broker => \&kill_broker);

create_pipeline($node, $kafka, workers => 3,
	options => { 'session.timeout.ms' => 6000 });
create_pipeline($node, $kafka, topic => 'unkeyed', workers => 1);
set_limits($node);
ok(running($node, 6, $patience), 'every partition runs');

# Event time goes on as the sensors would sample, however fast it is sent; half
# a day is enough for that, and Kafka keeps a week.
my @producers = (
	start_producer(kafka => $kafka, sensors => 60, seed => $seed,
		count => $wanted, rate => 500, start => '@' . (time - 12 * 3600),
		record_time => 'event', heartbeat => 0, flush_timeout => $patience,
		properties => { 'max.in.flight' => 1 }),
	start_producer(kafka => $kafka, topic => 'unkeyed', unkeyed => 1,
		sensors => 10, sensor_type => 'temperature', seed => $seed,
		count => $wanted / 10, rate => 50, heartbeat => 0,
		flush_timeout => $patience, properties => { 'max.in.flight' => 1 }));

my %done;
foreach my $round (0 .. $#plan)
{
	my $kind = $plan[$round]{kind};
	my $before = sql($node, $stored);

	unless ($fault{$kind}->($plan[$round]{dice}))
	{
		fail("round $round: $kind");
		last;
	}
	unless (poll_until($node, $stored,
			sub { $_[0] ne '' && $_[0] > $before + 500 || $_[0] >= $total },
			$patience))
	{
		fail("round $round: goes on after $kind");
		last;
	}
	$done{$kind}++;
}
is_deeply(\%done, { map { $_ => $times } @kinds },
	'the pipelines went on after every fault');
is_deeply([ map { $_->wait($patience)->{rc} } @producers ], [ 0, 0 ],
	'the producers delivered everything');
ok(caught_up($node, $total, $patience), 'every message is accounted for');
ok(poll_until($node, 'SELECT sum(pending) FROM factorymon.publisher_health', 0,
		$patience), 'every event is delivered');

# the same messages, undisturbed, in another server
my $calm = new_node();
create_pipeline($calm, $kafka, workers => 1, consumer_group => 'calm',
	alert_topic => '');
set_limits($calm);
ok(caught_up($calm, $wanted, $patience), 'another server has read them all');

my @history = split /\n/, history($node);
my @undisturbed = split /\n/, history($calm);

cmp_ok(scalar @history, '>', $wanted / 100, 'there were many transitions');
is(scalar @history, scalar @undisturbed, 'as many as there');
is_deeply([ grep { $history[$_] ne ($undisturbed[$_] // '') } 0 .. $#history ], [],
	'and they are the same');
is(sql($node, <<'QUERY'), 0, 'none is there twice');
SELECT count(*) - count(DISTINCT event_id) FROM factorymon.alerts
QUERY
alerts_are_in_order($node, $kafka, 'in the end');
is(sql($node, <<'QUERY'), 0, 'every event that goes out went out');
SELECT count(*) FROM _factorymon.transition t
	FULL JOIN _factorymon.publication o USING (stream_id, out_seq)
WHERE t.out_seq IS NOT NULL AND (o.pub_seq IS NULL OR t.event_id IS NULL)
QUERY

# without keys: each stream's history of a sensor is legal, and ends where the
# newest reading that was judged is
cmp_ok(sql($node, "SELECT count(*) FROM factorymon.alerts WHERE pipeline = 'unkeyed'"),
	'>', 50, 'readings without keys had alarms, too');
is(sql($node, <<'QUERY'), 0, 'each transition goes on from the one before it');
SELECT count(*) FROM (
	SELECT a.previous_state, a.previous_level,
		lag(a.state, 1, 'normal') OVER w AS state,
		lag(a.level, 1, 'normal') OVER w AS level
	FROM factorymon.alerts a
	WHERE a.pipeline = 'unkeyed' AND a.transition <> 'late_excursion'
	WINDOW w AS (PARTITION BY a.sensor_id, a.kafka_partition
		ORDER BY a.kafka_offset, a.ordinal)) t
WHERE (t.previous_state, t.previous_level) <> (t.state, t.level)
QUERY
is(sql($node, <<'QUERY'), 0, 'raises and returns alternate');
SELECT count(*) FROM (
	SELECT a.transition, lag(a.transition) OVER w AS before
	FROM factorymon.alerts a
	WHERE a.pipeline = 'unkeyed' AND a.transition IN ('raised', 'returned')
	WINDOW w AS (PARTITION BY a.sensor_id, a.kafka_partition
		ORDER BY a.kafka_offset, a.ordinal)) t
WHERE t.transition = coalesce(t.before, 'returned')
QUERY
is(sql($node, <<'QUERY'), 0, 'an alarm is at the level of the newest reading');
SELECT count(*) FROM _factorymon.alarm a
	JOIN _factorymon.stream s USING (stream_id)
	CROSS JOIN LATERAL (
		SELECT r.level FROM _factorymon.reading r
		WHERE r.stream_id = a.stream_id AND r.sensor_id = a.sensor_id
			AND r.flags & (8 | 16 | 64) = 0
		ORDER BY r.kafka_offset DESC LIMIT 1) r
WHERE s.topic = 'unkeyed' AND a.level & 3 <> r.level & 3
QUERY

unlike(slurp_file($node->logfile),
	qr/PANIC: |TRAP: |terminated by signal (?!9\b)/,
	'no process crashed by itself');
diag scalar(@history) . ' transitions of ' . $wanted . ' readings';
$node->stop;
$calm->stop;
done_testing();
