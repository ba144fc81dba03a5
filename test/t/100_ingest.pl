
# What goes in comes out: readings, rejects, limits, alarms and status of a
# pipeline on the embedded broker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node), 'every partition runs');

# sensors send as fast as they can: with the delays of the built-in limits
# nothing would last long enough
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, critical_low, warning_low,
	warning_high, critical_high)
SELECT sensor_type, critical_low, warning_low, warning_high, critical_high
FROM factorymon.default_thresholds()
QUERY

my $run = run_producer(
	kafka => $broker, sensors => 60, rate => 4000, count => 12000,
	malformed => 0.02, tombstones => 0.01, extra => 0.05,
	heartbeat => 1, seed => 11, truth => $truth, anomalies => 'independent');
is($run->{rc}, 0, 'the producer delivered everything');
my $total = () = lines_of($truth);
ok(caught_up($node, $total), 'every message is accounted for');
ok(lag_is_zero($node), 'lag reaches zero');
is_exact($node, [$truth]);

levels_are_right($node);
is(sql($node, <<'QUERY'), 't', 'the latest reading of each sensor is the latest');
SELECT count(*) = 60 AND bool_and(l.ts = r.ts)
FROM factorymon.latest_readings l
JOIN (SELECT sensor_id, max(ts) AS ts FROM factorymon.sensor_readings
	GROUP BY sensor_id) r USING (sensor_id)
QUERY
is(sql($node, <<'QUERY'), 't', 'raise and return alternate within an alarm');
SELECT count(*) > 10 AND bool_and(seq = rank
	AND previous_state IS NOT DISTINCT FROM before)
FROM (SELECT seq, state, previous_state,
		row_number() OVER w AS rank,
		coalesce(lag(state) OVER w, 'normal') AS before
	FROM factorymon.alerts WHERE transition <> 'late_excursion'
	WINDOW w AS (PARTITION BY alarm_id ORDER BY seq)) a
QUERY

# one malformed message alone on an idle pipeline
my $rejects = sql($node, 'SELECT count(*) FROM factorymon.rejects');
run_producer(kafka => $broker, count => 1, malformed => 1, heartbeat => 0,
	truth => $truth);
ok(poll_until($node, 'SELECT count(*) FROM factorymon.rejects', $rejects + 1, 5),
	'one bad message alone becomes a reject');
is(sql($node, <<'QUERY'), 't', 'with its offset, timestamp, reason and SQLSTATE');
SELECT value IS NOT NULL AND message_at > now() - interval '1 minute'
	AND reason <> '' AND length(sqlstate) = 5 AND kafka_offset >= 0
	AND rejected_at - message_at < interval '1 second'
FROM factorymon.rejects ORDER BY rejected_at DESC LIMIT 1
QUERY
run_producer(kafka => $broker, count => 5, rate => 50, heartbeat => 0,
	truth => $truth, sensor_id => 'after', seed => 3);
ok(poll_until($node, <<'QUERY', 5), 'and the pipeline goes on');
SELECT count(*) FROM factorymon.sensor_readings WHERE sensor_id = 'after'
QUERY

# limits take effect from the next batch after commit
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_high)
VALUES ('temperature', 'hot', -50)
QUERY
run_producer(kafka => $broker, count => 3, rate => 50, heartbeat => 0,
	truth => $truth, sensor_id => 'hot', sensor_type => 'temperature');
ok(poll_until($node, <<'QUERY', '3 critical'), 'new limits judge what comes next');
SELECT concat_ws(' ', count(*), string_agg(DISTINCT level, ','))
FROM factorymon.sensor_readings WHERE sensor_id = 'hot'
QUERY
is(sql($node, <<'QUERY'), 'raised|critical|high', 'and raise an alarm, once');
SELECT string_agg(concat_ws('|', transition, level, side), ' ')
FROM factorymon.alerts WHERE sensor_id = 'hot'
QUERY

is(sql($node, <<'QUERY'), 't', 'the producer is seen by its heartbeats');
SELECT count(*) = 1 AND bool_and(state = 'stopped' AND sent >= 12000
	AND delivered = sent AND errors = 0)
FROM factorymon.producer_health WHERE sensors = 60
QUERY
is(sql($node, <<'QUERY'), 't', 'consumers report heartbeats and partitions');
SELECT count(*) = 2 AND sum(assigned_partitions) = 3
	AND bool_and(heartbeat_age_seconds < 20 AND state = 'running')
FROM factorymon.consumer_health
QUERY
is_exact($node, [$truth], name => 'at the end');

# a restart continues where it stood, without a sign of doubt
$node->restart;
ok(running($node), 'after a restart every partition runs again');
run_producer(kafka => $broker, sensors => 20, count => 500, rate => 2000,
	duplicates => 0.1, truth => $truth, heartbeat => 0, seed => 12);
cmp_ok(scalar(grep { / duplicate of=/ } lines_of($truth)),
	'>', 20, 'after a restart some readings are sent twice');
$total = () = lines_of($truth);
ok(caught_up($node, $total), 'and goes on');
is_exact($node, [$truth], name => 'after a restart');
unlike(events($node), qr/suspect|gap/, 'nothing was suspected');

$node->stop;
done_testing();
