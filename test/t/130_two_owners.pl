
# Two owners of one partition: a worker frozen past its session timeout, once
# outside a transaction, once with a batch that it has not begun to store, and
# once inside a transaction, behind the fence; and a user who holds a stream's
# row.  Nothing twice, nothing missing, the waiting said.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:4']);
my $node = new_node(conf => "factorymon.lock_timeout = '300ms'\n");
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';
my $stored = 'SELECT sum(messages + rejected + other) '
  . 'FROM factorymon.message_counters';

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node, 4), 'every partition runs');

my $producer = start_producer(
	kafka => $broker, sensors => 40, rate => 400, heartbeat => 1, seed => 51,
	truth => $truth);
ok(poll_until($node, $stored, sub { $_[0] ne '' && $_[0] > 300 }),
	'messages flow');

# --- frozen outside a transaction -------------------------------------------
my ($frozen) = worker_pids($node);
kill 'STOP', $frozen;
ok(poll_until($node, <<"QUERY", 't'), 'partitions of a frozen worker are taken over');
SELECT count(*) = 4 AND bool_and(pid <> $frozen AND state = 'running')
FROM factorymon.partition_status()
QUERY
my $before = sql($node, $stored);
ok(poll_until($node, $stored, sub { $_[0] > $before + 400 }),
	'and all goes on without it');
kill 'CONT', $frozen;
ok(poll_until($node, <<"QUERY", 't'), 'back, it joins again');
SELECT count(*) = 4 AND bool_and(state = 'running')
	AND count(DISTINCT pid) = 2 FROM factorymon.partition_status()
QUERY
ok(kill(0, $frozen), 'the same process');

# --- frozen with a batch in hand ----------------------------------------------
# While it registers a new sensor, a worker has collected its batch, has looked
# at what the client says for the last time, and has not come to the fence.
sql($node, <<'QUERY');
CREATE TABLE public.gate_is_open ();
CREATE FUNCTION public.wait_for_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM public.gate_is_open) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN NULL;
END $$;
GRANT SELECT ON public.gate_is_open TO PUBLIC;
CREATE TRIGGER wait_for_gate BEFORE INSERT ON _factorymon.sensor_type
FOR EACH STATEMENT EXECUTE FUNCTION public.wait_for_gate();
QUERY
my $late_truth = "$truth.late";
my $late = start_producer(
	kafka => $broker, sensors => 40, 'sensor-id' => 'late', rate => 200,
	seed => 52, truth => $late_truth);
ok(poll_until($node, <<'QUERY', 2), 'both workers have a batch in hand');
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'factorymon worker' AND wait_event = 'PgSleep'
QUERY
($frozen) = worker_pids($node);
kill 'STOP', $frozen;
my $fenced = sql($node, <<'QUERY');
SELECT count(*) FROM factorymon.rebalancing_events WHERE event = 'fenced'
QUERY
$before = sql($node, $stored);
sql($node, 'INSERT INTO public.gate_is_open DEFAULT VALUES');
ok(poll_until($node, <<"QUERY", 't'), 'the partitions of one, frozen, are taken over');
SELECT count(*) = 4 AND bool_and(pid <> $frozen AND state = 'running')
FROM factorymon.partition_status()
QUERY
ok(poll_until($node, $stored, sub { $_[0] > $before + 1000 }),
	'the messages that it holds are stored by its successor');
kill 'CONT', $frozen;
ok(poll_until($node, <<"QUERY", 't'), 'back, it finds the fence, and says so');
SELECT count(*) > $fenced FROM factorymon.rebalancing_events
WHERE event = 'fenced'
QUERY
ok(poll_until($node, <<'QUERY', 't'), 'and joins again');
SELECT count(*) = 4 AND bool_and(state = 'running')
	AND count(DISTINCT pid) = 2 FROM factorymon.partition_status()
QUERY
sql($node, 'DROP TRIGGER wait_for_gate ON _factorymon.sensor_type');
is($late->stop->{rc}, 0, 'the late sensors are done');

# --- frozen inside a transaction, behind the fence ----------------------------
sql($node, <<'QUERY');
CREATE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(42);
	RETURN NULL;
END $$;
QUERY
my $gate = $node->background_psql('factory');
$gate->query_safe('SELECT pg_advisory_lock(42)');
sql($node, <<'QUERY');
CREATE TRIGGER gate AFTER INSERT ON _factorymon.reading_1
FOR EACH STATEMENT EXECUTE FUNCTION public.gate()
QUERY
ok(poll_until($node, <<'QUERY', 2), 'both workers stand inside a batch');
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'factorymon worker' AND wait_event = 'advisory'
QUERY
($frozen) = worker_pids($node);
my $partitions = sql($node, <<"QUERY");
SELECT string_agg(kafka_partition::text, ',' ORDER BY kafka_partition)
FROM factorymon.partition_status() WHERE pid = $frozen
QUERY
kill 'STOP', $frozen;
$gate->query_safe('SELECT pg_advisory_unlock(42)');
ok(poll_until($node, <<"QUERY", 't'), 'its successor waits for it and says so');
SELECT count(*) > 0 FROM factorymon.partition_status()
WHERE kafka_partition IN ($partitions) AND state = 'waiting'
	AND state_detail = 'waiting for pid $frozen'
QUERY
ok(poll_until($node, <<"QUERY", 't'), 'and serves its other partitions');
SELECT count(*) > 0 AND bool_and(state = 'running')
FROM factorymon.partition_status() WHERE kafka_partition NOT IN ($partitions)
QUERY
$before = sql($node, $stored);
ok(poll_until($node, $stored, sub { $_[0] > $before + 100 }),
	'whose messages are stored');
like(events($node), qr/waiting/, 'there is an event');
kill 'CONT', $frozen;
ok(poll_until($node, <<'QUERY', 't'), 'afterwards every partition has an owner');
SELECT count(*) = 4 AND bool_and(state = 'running') AND count(DISTINCT pid) = 2
FROM factorymon.partition_status()
QUERY
sql($node, 'DROP TRIGGER gate ON _factorymon.reading_1');
$gate->quit;

# --- a user's open transaction ------------------------------------------------
my $user = $node->background_psql('factory');
$user->query_safe('BEGIN');
$user->query_safe(<<'QUERY');
SELECT position FROM _factorymon.partition_offset p
JOIN _factorymon.stream USING (stream_id) WHERE kafka_partition = 0 FOR UPDATE
QUERY
ok(poll_until($node, <<'QUERY', 't'), 'a row that a user holds is waited for, and named');
SELECT state = 'waiting' AND state_detail ~ '^waiting for pid \d+$'
FROM factorymon.partition_status() WHERE kafka_partition = 0
QUERY
$before = sql($node, $stored);
ok(poll_until($node, $stored, sub { $_[0] > $before + 200 }),
	'the other partitions go on');
$user->query_safe('ROLLBACK');
$user->quit;
ok(poll_until($node, <<'QUERY', 't'), 'when it is free the partition goes on');
SELECT state = 'running' FROM factorymon.partition_status()
WHERE kafka_partition = 0
QUERY

is($producer->stop->{rc}, 0, 'the producer delivered everything');
my $total = () = map { lines_of($_) } $truth, $late_truth;
ok(caught_up($node, $total), 'every message is accounted for');
ok(lag_is_zero($node), 'lag reaches zero');
is_exact($node, [ $truth, $late_truth ]);
is(sql($node, "SELECT bool_and(batches > 0) FROM factorymon.worker_status()"),
	't', 'both workers are at work');

$node->stop;
done_testing();
