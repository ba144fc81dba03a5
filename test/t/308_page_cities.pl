# Cities on the page: the worst first, who is silent is not well, a line for each
# that can be told apart, on a screen and on a phone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonPage;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $packages = page_packages();
my $node = new_node();

# Eight cities of a pipeline that no worker serves: one critical, one warning, one
# that was heard of half an hour ago, five that are well; an hour of both values.
sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, retention, partition_interval, owner)
VALUES (904, 'weather', 'nowhere', 'topic', 'weather', 'city', 2, 'earliest',
	'stop', '7 days', '1 hour', '30 days', '1 day', 'somebody');
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation) VALUES (9040, 904, 'topic', 0, 1);
INSERT INTO _factorymon.rollup_stream VALUES (9040, '2025-01-01')
	ON CONFLICT (stream_id) DO UPDATE SET pending_from = '2025-01-01';
INSERT INTO _factorymon.rollup_progress
	VALUES (904, 'UTC', '2025-01-01', '2025-01-01', '2025-01-01')
	ON CONFLICT DO NOTHING;
CREATE TABLE _factorymon.reading_904 PARTITION OF _factorymon.reading
	FOR VALUES IN (904);
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
SELECT n, 904, 's' || n FROM generate_series(1, 16) AS n;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT n, n, CASE WHEN n % 2 = 1 THEN 'temperature' ELSE 'humidity' END, '', '',
	(ARRAY['São Paulo', 'Recife', 'Natal', 'Belém', 'Curitiba', 'Fortaleza',
		'Manaus', 'Salvador'])[(n + 1) / 2],
	CASE WHEN n % 2 = 1 THEN '°C' ELSE '%RH' END
FROM generate_series(1, 16) AS n;
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT date_trunc('minute', now()) - age * interval '1 minute'
		+ s * interval '1 second', age * 20 + s, 20 + s + age / 8.0, s, 9040, s,
	904, 0, CASE s WHEN 1 THEN 48 WHEN 3 THEN 32 ELSE 16 END, 0
FROM generate_series(1, 16) AS s, generate_series(0, 70) AS age
WHERE s NOT IN (5, 6) OR age > 30;
QUERY
my $dashboard = start_dashboard($node, role => 'watcher');

run_page($packages, $dashboard, ['cities'],
	sql => sub { return sql($node, $_[0]) });
is($dashboard->stop->{rc}, 0, 'the dashboard ends');
$node->stop;
done_testing();
