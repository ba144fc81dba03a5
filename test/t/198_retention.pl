
# Retention beside a reader in an open transaction: what has expired waits and
# says so, ingest goes on, and everything goes as soon as the reader is done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:1']);
my $node = new_node(conf => "factorymon.snapshot_interval = '200ms'\n");

create_pipeline($node, $broker, options => quick_options(),
	accept_past => '10 days', partition_interval => '1 hour');
my $start = sql($node, q{SELECT to_char(date_trunc('hour', now() - interval '3 days')
	AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')});
run_producer(kafka => $broker, sensors => 10, rate => 0, count => 2000,
	heartbeat => 0, seed => 7, start => $start);
ok(poll_until($node, 'SELECT count(*) FROM _factorymon.reading', 2000), 'all is stored');

my $reader = $node->background_psql('factory');
$reader->query_safe('BEGIN; SELECT count(*) FROM factorymon.sensor_readings');
my $producer = start_producer(kafka => $broker, sensors => 10, rate => 500,
	heartbeat => 0, seed => 9);
sql($node, q{SELECT factorymon.alter_pipeline('sensor-data', retention => '1 day')});

# Each turn tries; meanwhile: how long is no batch committed?
my ($worst, $last, $seen) = (0, now(), 0);
my $until = now() + 12;
my $turns = 0;
while (now() < $until)
{
	my $n = sql($node, 'SELECT position FROM _factorymon.partition_offset WHERE position > 0');

	if ($n ne $seen)
	{
		$worst = now() - $last if $seen && now() - $last > $worst;
		($last, $seen) = (now(), $n);
	}
	if ($turns < (now() - $until + 12) / 3)
	{
		$turns++;
		$node->psql('factory', q{SET lock_timeout = '200ms'; SELECT _factorymon.drop_expired('sensor-data')});
	}
}
note sprintf 'worst stall of ingest beside the reader: %.3f s', $worst;
cmp_ok($worst, '<', 1, 'ingest does not wait for what waits for the reader');
is(sql($node, q{SELECT count(*) > 0 FROM _factorymon.reading WHERE ts < now() - interval '1 day'}),
	't', 'what the reader reads is there');
ok(poll_until($node, q{SELECT waiting_for ~ 'process \d+ \(client backend\), in a transaction since'
	FROM factorymon.retention WHERE level = 'readings'}, 't', 75), 'and it is seen what it waits for');
$reader->query_safe('COMMIT');
ok(poll_until($node, q{SELECT count(*) FROM _factorymon.reading WHERE ts < now() - interval '1 day'},
	0, 90), 'all goes when the reader is done');
ok(poll_until($node, q{SELECT waiting_for IS NULL FROM factorymon.retention WHERE level = 'readings'},
	't', 75), 'and nothing waits any more');
$producer->stop;
is(sql($node, q{SELECT count(*) FROM factorymon.verify_delivery('sensor-data')}), 0,
	'what went is expired, not lost');
$reader->quit;
$node->stop;
$broker->stop;
done_testing();
