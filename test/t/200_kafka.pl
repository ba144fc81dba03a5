
# Apache Kafka itself, three brokers: transactions, compression, compaction,
# partitions added while running, a broker killed, the group's offsets in Kafka
# moved by somebody; and Kafka's own tools agree.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = start_kafka();
my $node = new_node(conf => "factorymon.proof_interval = '1s'\n");
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';

# The start policy decides on the partitions of now, which are empty, and on
# none that is added later.
create_pipeline($node, $kafka, workers => 3, start => 'latest',
	options => { 'session.timeout.ms' => 6000 });
ok(running($node), 'every partition runs');

foreach my $codec (qw(none gzip snappy lz4 zstd))
{
	my $run = run_producer(
		kafka => $kafka, sensors => 50, rate => 0, count => 4000,
		compression => $codec, malformed => 0.01, tombstones => 0.005,
		transaction_share => 0.2, abort_share => 0.4, big => 0.0005,
		seed => 31, heartbeat => 1, truth => $truth);
	is($run->{rc}, 0, "the producer delivered everything ($codec)");
}
my $total = () = lines_of($truth);
ok(caught_up($node, $total), 'every message is accounted for');
ok(lag_is_zero($node), 'lag reaches zero, control records notwithstanding');
is_exact($node, [$truth], name => 'codecs and transactions');

ok(poll_until($node, <<'QUERY', 't'), 'the group has a copy of the positions');
SELECT bool_and(committed_offset = position) FROM factorymon.partition_status()
QUERY
my $group = $kafka->group_offsets('sensor-processors')->{'sensor-data'};
is_deeply([ map { $group->{$_}{lag} } sort keys %$group ], [ 0, 0, 0 ],
	'Kafka itself sees no lag');

$kafka->add_partitions('sensor-data', 5);
ok(running($node, 5), 'partitions added while running are taken up');
# slow enough for many batches, which go to partitions at random
run_producer(
	kafka => $kafka, sensors => 50, rate => 2000, count => 3000, seed => 32,
	heartbeat => 0, truth => $truth, unkeyed => 1);
$total = () = lines_of($truth);
ok(caught_up($node, $total), 'and read from their beginning');
is(sql($node, 'SELECT min(from_offset) FROM factorymon.ledger '
	  . 'WHERE kafka_partition >= 3'), 0, 'that is from offset 0');

my $producer = start_producer(
	kafka => $kafka, sensors => 50, rate => 2000, seed => 33, heartbeat => 1,
	truth => $truth);
my $counted = 'SELECT sum(messages) FROM factorymon.message_counters';
my $before = sql($node, $counted);
$kafka->kill_broker(2);
ok(poll_until($node, $counted, sub { $_[0] > $before + 4000 }),
	'with a broker killed the pipeline goes on');
$kafka->restart_broker(2);
is($producer->stop->{rc}, 0, 'the producer delivered everything');
$total = () = lines_of($truth);
ok(caught_up($node, $total), 'every message is accounted for');
ok(lag_is_zero($node), 'lag reaches zero');
is_exact($node, [$truth], name => 'at the end');

ok(poll_until($node, <<'QUERY', 't'), 'positions are proven again and again');
SELECT count(*) = 5 AND bool_and(anchor_proven_at IS NOT NULL)
FROM _factorymon.partition_offset
QUERY
unlike(events($node), qr/suspect|gap/, 'and nothing was suspected');

# Kafka's copy of the positions is a copy: moving it, while nobody is there to
# correct it, moves nothing.  And a partition added meanwhile is read from its
# beginning, though it has messages when it is first seen.
$node->stop;
$kafka->add_partitions('sensor-data', 6);
$kafka->set_group_offset('sensor-processors', 'sensor-data', 0, 0);
my $end = $kafka->offsets('sensor-data')->{1}{high};
is(run_producer(
		kafka => $kafka, sensors => 50, rate => 0, count => 2000, seed => 34,
		heartbeat => 0, truth => $truth)->{rc},
	0, 'the producer delivered everything while the server was down');
$kafka->set_group_offset('sensor-processors', 'sensor-data', 1, $end + 10);
cmp_ok($kafka->offsets('sensor-data')->{5}{high}, '>', 0,
	'and to the new partition, too');
$node->start;
$total = () = lines_of($truth);
ok(caught_up($node, $total), 'every message is accounted for');
ok(lag_is_zero($node), 'lag reaches zero');
is_exact($node, [$truth], name => q(Kafka's copy of the positions was moved));

$node->stop;
done_testing();
