
# Faults while messages flow, on the embedded broker: workers terminated and
# killed (one between its rows and its position), the server stopped hard (once
# with commits that are not on disk yet), brokers cut off, pause and resume.  At the
# end everything is stored once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node(conf => "factorymon.restart_delay_min = '200ms'\n");
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';
my $stored = 'SELECT sum(messages + rejected + other) '
  . 'FROM factorymon.message_counters';

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node), 'every partition runs');

# Slow enough for the embedded broker's 5 MiB a partition.
sub produce
{
	my ($seed) = @_;

	return start_producer(
		kafka => $broker, sensors => 40, rate => 300, malformed => 0.02,
		heartbeat => 1, seed => $seed, truth => $truth);
}

my $producer = produce(21);

# More is stored than before the fault: the pipeline goes on.
sub goes_on
{
	my ($what) = @_;
	my $before = sql($node, $stored);

	ok(poll_until($node, $stored, sub { $_[0] ne '' && $_[0] > $before + 100 }),
		"$what: the pipeline goes on");
	return;
}

goes_on('at first');

my ($victim) = worker_pids($node);
my $log = -s $node->logfile;
sql($node, "SELECT pg_terminate_backend($victim)");
ok(poll_until($node, <<"QUERY", 't'), 'a terminated worker is replaced');
SELECT count(*) = 2 AND bool_and(pid <> $victim) FROM factorymon.worker_status()
WHERE state = 'running'
QUERY
goes_on('a worker was terminated');
unlike(slurp_file($node->logfile, $log), qr/reinitializing/,
	'the server was not restarted for it');
ok(poll_until($node, <<"QUERY", 't'), 'its end and its successor are events');
SELECT count(*) FILTER (WHERE event = 'ended'
		AND reason ~ '^worker [12], process $victim\$') = 1
	AND count(*) FILTER (WHERE event = 'started'
		AND reason ~ '^worker [12], process [0-9]+\$') = 3
FROM factorymon.rebalancing_events
QUERY


my @before = worker_pids($node);
sql($node, "SELECT pg_terminate_backend(" . (worker_pids($node, 'supervisor'))[0]
	  . ')');
ok(poll_until($node, <<"QUERY", 't'), 'a supervisor that ends takes its workers along');
SELECT count(*) = 2 AND bool_and(pid NOT IN (@{[ join ',', @before ]}))
FROM pg_stat_activity WHERE backend_type = 'factorymon worker'
QUERY
goes_on('the supervisor was terminated');

# Killed where its rows are written and its position is not.
sql($node, <<'QUERY');
CREATE TABLE public.gate_is_shut AS SELECT true;
CREATE FUNCTION public.linger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	WHILE EXISTS (SELECT FROM public.gate_is_shut) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN NEW;
END $$;
CREATE TRIGGER linger BEFORE UPDATE ON _factorymon.partition_offset
FOR EACH ROW WHEN (NEW.position > OLD.position)
EXECUTE FUNCTION public.linger();
QUERY
ok(poll_until($node, <<'QUERY', 2), 'both workers stand before their positions');
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'factorymon worker' AND wait_event = 'PgSleep'
QUERY
is(sql($node, <<'QUERY'), 't', 'what they have written is not to be seen');
SELECT count(*) > 0 AND count(*) FILTER (WHERE r.kafka_offset >= p.position) = 0
FROM _factorymon.reading_1 r JOIN _factorymon.partition_offset p USING (stream_id)
QUERY
($victim) = worker_pids($node);
kill 'KILL', $victim;
ok(wait_for_log($node, qr/all server processes terminated; reinitializing/,
		$log), 'a killed worker costs a crash restart');
ok(poll_until($node, 'SELECT 1', 1), 'the server comes back');
sql($node, 'DELETE FROM public.gate_is_shut');
sql($node, 'DROP TRIGGER linger ON _factorymon.partition_offset');
goes_on('a worker was killed');

$node->stop('immediate');
$node->start;
goes_on('the server was stopped immediately');

$node->append_conf('postgresql.conf', 'synchronous_commit = off');
$node->reload;
ok(poll_until($node, 'SHOW synchronous_commit', 'off'), 'commits do not wait');
goes_on('without waiting for the disk');
$node->stop('immediate');
$node->start;
goes_on('the server was stopped before commits were on disk');

# The embedded broker appends a batch again whose answer was lost, so nobody
# produces while it is cut off.
is($producer->stop->{rc}, 0, 'the producer delivered everything so far');
$broker->command('broker', 'down', 'all');
ok(wait_for_log($node, qr/worker LOG:  pipeline "sensor-data": /, $log),
	'a broker outage is logged');
is(sql($node, 'SELECT 1'), 1, 'and does not touch the server');
$broker->command('broker', 'up', 'all');
$producer = produce(22);
goes_on('all brokers were down');

sql($node, "SELECT factorymon.pause('sensor-data', reason => 'to test')");
ok(poll_until($node, <<'QUERY', 't'), 'a paused pipeline stands still');
SELECT count(*) = 3 AND bool_and(state = 'paused')
FROM factorymon.partition_status()
QUERY
my $paused_at = sql($node, $stored);
ok(poll_until($node, <<'QUERY', 't'), 'while its lag grows and is seen');
SELECT sum(lag_messages) > 200 FROM factorymon.partition_status()
QUERY
is(sql($node, $stored), $paused_at, 'and nothing is stored');
sql($node, "SELECT factorymon.resume('sensor-data')");
goes_on('after resume');

sql($node, "SELECT factorymon.pause('sensor-data', 1)");
ok(poll_until($node, <<'QUERY', 'running paused running'), 'one partition alone can be paused');
SELECT string_agg(state, ' ' ORDER BY kafka_partition)
FROM factorymon.partition_status()
QUERY
goes_on('one partition paused');
sql($node, "SELECT factorymon.resume('sensor-data', 1)");

my $run = $producer->stop;
is($run->{rc}, 0, 'the producer delivered everything');
my $total = () = lines_of($truth);
ok(caught_up($node, $total), 'every message is accounted for');
ok(lag_is_zero($node), 'lag reaches zero');
is_exact($node, [$truth]);

$node->stop;
done_testing();
