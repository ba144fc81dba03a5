
# Readings of a time whose minutes are gone, in a stream that is new: read again
# before they are stored as minutes, and after that, they count once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use FactorymonRollups;
use Test::More;

my %begin = rollup_begins('UTC');
my $broker = start_broker(topics => [ 'sensor-data:1', 'late:1' ]);
my $node = new_node();

sub produce
{
	my ($topic, $start, $count, $interval) = @_;

	run_producer(kafka => $broker, topic => $topic, sensors => 4, sensor_id => 'temp',
		sensor_type => 'temperature', sampling_interval => $interval, count => $count,
		rate => 0, start => $start, record_time => 'event', anomalies => 'none',
		heartbeat => 0, seed => $count);
	return;
}

sub read_again
{
	sql($node, "SELECT factorymon.pause('sensor-data', 0)");
	poll_until($node, <<'QUERY', 't') or die 'it was not paused';
SELECT state = 'paused' FROM factorymon.partition_status() WHERE topic = 'late'
QUERY
	sql($node, "SELECT factorymon.seek('sensor-data', 0, 0, true)");
	sql($node, "SELECT factorymon.resume('sensor-data', 0)");
	poll_until($node, <<'QUERY', 't') or die 'it was not read again';
SELECT state = 'running' AND lag_messages = 0 FROM factorymon.partition_status() WHERE topic = 'late'
QUERY
	return;
}

sub are_right
{
	my ($what) = @_;

	foreach my $computed (0, 1)
	{
		sql($node, "SELECT _factorymon.merge_rollups('sensor-data')") if $computed;
		is(sql($node, rollup_differences($_, $begin{$_})), '',
			"$what: $_ " . ($computed ? 'computed' : 'as it is'))
		  foreach '1h', '1d';
	}
	return;
}

create_pipeline($node, $broker, accept_past => '10 years', time_zone => 'UTC',
	options => quick_options());
produce('sensor-data', '2025-09-20T00:00:00Z', 1000, 40000);
ok(poll_until($node, 'SELECT count(*) FROM _factorymon.reading', 1000) && rollups_settled($node),
	'readings of a hundred days');
are_right('all is there');
sql($node, "SELECT factorymon.set_retention('sensor-data', 'minutes',"
	  . " now() - (timestamptz '2025-12-20 00:00+00'))");
cmp_ok(sql($node, "SELECT _factorymon.drop_expired('sensor-data')"), '>', 0, 'minutes go');
is(sql($node, q{SELECT minutes_from > '2025-11-01' FROM _factorymon.rollup_progress}), 't',
	'those of then');

# all of them within three minutes, so that nothing says that their time is over
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', topic => 'late')");
produce('late', '2025-10-01T00:10:00Z', 40, 10);
ok(poll_until($node, 'SELECT count(*) FROM _factorymon.reading', 1040), 'late ones, in a stream of their own');
are_right('late');
foreach my $time ('once', 'twice', 'three times')
{
	read_again();
	are_right("read again $time");
}

$node->stop;
$broker->stop;
done_testing();
