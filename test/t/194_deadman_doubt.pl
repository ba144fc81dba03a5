
# A pipeline whose brokers do not say where its partitions end, so that nobody can
# be sure of its silent sensors, keeps nobody from being sure of another's.

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

create_pipeline($node, $far, topic => 'far-data', server => 'far',
	options => quick_options());
create_pipeline($node, $near, topic => 'near-data', server => 'near',
	options => quick_options());
ok(running($node, 2), 'both partitions run');
my $distant = sensors($far, 'far-data', 'distant', 6);
my $close = sensors($near, 'near-data', 'close', 1);
comes_to(q{SELECT string_agg(active::text, ' ' ORDER BY pipeline)
	FROM factorymon.deadman}, '6 1', 'all report');

# of its silence nobody can be sure, and the brokers are asked again and again
$far->command('request-errors', 'ListOffsets',
	'TOPIC_AUTHORIZATION_FAILED*10000');
$distant->stop;
comes_to(q{SELECT active FROM factorymon.deadman
	WHERE pipeline = 'far-data'}, 0, 'of one pipeline nothing comes');
comes_to(q{SELECT unknown FROM factorymon.deadman
	WHERE pipeline = 'far-data'}, 6, 'and nobody can tell');
$close->stop;
comes_to($shown, 'active_unacknowledged',
	'a sensor of the other pipeline is missed');
is(sql($node, q{SELECT count(*) FROM factorymon.alarms
	WHERE pipeline = 'far-data'}), 0, 'none of the one in doubt');

$node->stop;
done_testing();
