# Workers that meet the same new sensors at the same time: each sensor and each
# description of it is registered once, no batch is given up for it, and what
# is stored refers to them.

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

# Without a key any reading goes to any partition, so each worker meets nearly
# every sensor in its first batches.  (All of it fits into one partition of the
# embedded broker, which drops the oldest beyond 5 MiB.)
my $run = run_producer(
	kafka => $broker, sensors => 2000, count => 10000, rate => 0, seed => 81,
	heartbeat => 0, unkeyed => 1, truth => $truth);
is($run->{rc}, 0, 'the producer delivered everything');
create_pipeline($node, $broker, workers => 3, options => quick_options());
ok(caught_up($node, scalar(() = lines_of($truth))),
	'every message is accounted for');
is_exact($node, [$truth]);

is(sql($node, <<'QUERY'), '2000|2000', 'each sensor is registered once');
SELECT count(*), count(DISTINCT name) FROM _factorymon.sensor
QUERY
is(sql($node, <<'QUERY'), '2000|2000', 'each with the one description');
SELECT count(*), count(DISTINCT sensor_id) FROM _factorymon.sensor_version
QUERY
is(sql($node, <<'QUERY'), '0', 'no reading lacks them');
SELECT count(*) FROM _factorymon.reading_1 AS r
WHERE NOT EXISTS (SELECT FROM _factorymon.sensor_version AS v
	WHERE v.sensor_id = r.sensor_id
		AND v.sensor_version_id = r.sensor_version_id)
QUERY

# The same for certain: somebody else is about to register a sensor that a
# worker has just met, and commits while the worker waits.
my $rival = $node->background_psql('factory');
$rival->query_safe('BEGIN');
$rival->query_safe(<<'QUERY');
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
VALUES (nextval('_factorymon.sensor_id_seq'), 1, 'rival')
QUERY
my $more = run_producer(
	kafka => $broker, sensor_id => 'rival', sensors => 1, count => 1, rate => 0,
	heartbeat => 0, truth => "$truth-rival");
is($more->{rc}, 0, 'a reading of one more sensor');
ok(poll_until($node, <<'QUERY', 1), 'its worker waits for whoever registers it');
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'factorymon worker' AND wait_event_type = 'Lock'
QUERY
$rival->query_safe('COMMIT');
$rival->quit;
ok(caught_up($node, scalar(() = map { lines_of($_) } $truth, "$truth-rival")),
	'and finds it then');
is_exact($node, [ $truth, "$truth-rival" ], name => 'rival');
is(sql($node, "SELECT count(*) FROM _factorymon.sensor WHERE name = 'rival'"), '1',
	'registered once');
unlike(slurp_file($node->logfile), qr/could not be stored/,
	'no batch had to wait');

$node->stop;
done_testing();
