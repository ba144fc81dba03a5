
# Numbers for what goes out: more at a time than one transaction takes, of
# several streams, with clocks that were set back and sensors that describe
# themselves anew.  Transitions are written by hand, so it is known which ones
# there are; publisher and broker are real.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonAlerts;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed'
  if system('kcat -V >/dev/null 2>&1') != 0;

# (a partition of the embedded broker keeps 5 MB)
my $broker = start_broker(topics => [ 'sensor-data:1', 'alerts:10' ]);
my $node = new_node();

create_pipeline($node, $broker);

# --- what stands in for workers ----------------------------------------------

# Streams that no worker takes; sensor numbers begin where those of workers are
# not.  commit(): so many transitions more of a stream, each of the next one of
# so many sensors, and of its version of that number; null: of no version.
sql($node, <<'SQL');
CREATE SCHEMA test;
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, kafka_partition,
	incarnation)
SELECT s, 1, 'by-hand', s, 1 FROM generate_series(101, 104) AS s;
INSERT INTO _factorymon.partition_offset (stream_id, position, extent_from)
SELECT s, 0, 0 FROM generate_series(101, 104) AS s;
SELECT _factorymon.ensure_partition('sensor-data', 'transition', t)
FROM unnest(ARRAY[now(), now() - interval '40 days']) AS t;

CREATE FUNCTION test.sensors(first integer, n integer) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
	SELECT i, 1, 'sensor ' || i FROM generate_series(first, first + n - 1) AS i;
$$;
CREATE FUNCTION test.versions(first integer, n integer, number integer)
RETURNS void LANGUAGE sql AS $$
	INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
		sensor_type, factory_section, machine_id, zone, unit)
	SELECT 10 * i + number, i, 'type ' || number, 'section ' || i % 3,
		'machine ' || i, 'zone "' || number || '"', 'unit ' || i * number
	FROM generate_series(first, first + n - 1) AS i;
$$;
CREATE FUNCTION test.commit(stream integer, n integer, first integer,
	nsensors integer, version integer, at timestamptz) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO _factorymon.transition (recorded_at, event_id, alarm_id,
		pipeline_id, stream_id, kafka_offset, reading_index, ordinal, seq,
		sensor_id, sensor_version_id, condition, transition, state, level,
		previous_state, previous_level, severity, value, limit_value, deadband,
		event_time, since, raised_at, announced, cause, out_seq)
	SELECT at + i * interval '1 ms', gen_random_uuid(),
		md5(stream || ' ' || i % nsensors)::uuid, 1, stream, o.out_seq + i, 0,
		1, 1 + (o.out_seq + i) / nsensors, first + i % nsensors,
		10 * (first + i % nsensors) + version, 'limit', 'returned', 'normal', 0,
		'active_unacknowledged', 0, 500, i, i, 0.5, at, at, at, false, 'data',
		o.out_seq + i
	FROM _factorymon.partition_offset o, generate_series(1, n) AS i
	WHERE stream_id = stream;
	UPDATE _factorymon.partition_offset SET out_seq = out_seq + n
	WHERE stream_id = stream;
$$;
SQL

# --- what must be so, always --------------------------------------------------

# What came to be numbered by one transaction has one numbered_at.
sub numbered
{
	my ($n, $name) = @_;

	ok(poll_until($node, 'SELECT count(*) FROM _factorymon.publication', $n),
		"$name: everything has a number");
	is(sql($node, <<'SQL'), "$n|1|$n", "$name: without gaps");
SELECT count(DISTINCT pub_seq), min(pub_seq), max(pub_seq)
FROM _factorymon.publication
SQL
	is(sql($node, <<'SQL'), 0, "$name: each once, and nothing else");
SELECT count(*) FROM _factorymon.transition t
FULL JOIN _factorymon.publication p USING (stream_id, out_seq)
WHERE t.event_id IS DISTINCT FROM p.event_id
SQL
	is(sql($node, <<'SQL'), 0, "$name: in the order of each stream");
SELECT count(*) FROM (SELECT out_seq, row_number()
		OVER (PARTITION BY stream_id ORDER BY pub_seq) AS n
	FROM _factorymon.publication) AS p
WHERE out_seq <> n
SQL
	is(sql($node, <<'SQL'), 0, "$name: between streams by their clocks");
SELECT count(*) FROM (SELECT pub_seq - min(pub_seq) OVER at_once + 1 AS n,
		row_number() OVER (PARTITION BY numbered_at
			ORDER BY turn, stream_id, out_seq) AS wanted
	FROM (SELECT *, max(recorded_at) OVER (PARTITION BY numbered_at, stream_id
				ORDER BY out_seq) AS turn
		FROM _factorymon.publication) AS p
	WINDOW at_once AS (PARTITION BY numbered_at)) AS q
WHERE n <> wanted
SQL
	is(sql($node, <<'SQL'), 0, "$name: with what their sensors said then");
SELECT count(*) FROM _factorymon.publication p
JOIN _factorymon.transition t USING (stream_id, out_seq)
LEFT JOIN _factorymon.sensor s USING (sensor_id)
LEFT JOIN _factorymon.sensor_version v USING (sensor_version_id)
CROSS JOIN LATERAL (SELECT p.payload::jsonb AS m) AS m
WHERE (p.message_key, m ->> 'sensor_id', m ->> 'sensor_type',
		m -> 'location' ->> 'factory_section', m -> 'location' ->> 'machine_id',
		m -> 'location' ->> 'zone', m ->> 'unit', p.source_topic,
		p.source_partition, p.source_offset)
	IS DISTINCT FROM
	(s.name, s.name, v.sensor_type, v.factory_section, v.machine_id, v.zone,
		v.unit, 'by-hand'::text, p.stream_id, t.kafka_offset)
SQL
	return;
}

# --- more than one transaction takes ------------------------------------------

# In one commit: 5000 of one stream, in the middle of which its clock was set
# back by forty days, to before its other partition; 3000 of another, the last
# without any description; ten of a third.
sql($node, <<'SQL');
BEGIN;
SELECT test.sensors(1001, 1010), test.versions(1001, 1010, 1),
	test.versions(1001, 1010, 2);
SELECT test.commit(101, 1000, 1001, 500, 1, now());
SELECT test.commit(101, 1000, 1001, 500, 2, now() - interval '40 days');
SELECT test.commit(101, 3000, 1001, 500, 2, now() - interval '1 hour');
SELECT test.commit(102, 1000, 1501, 500, 1, now() - interval '1 s');
SELECT test.commit(102, 1000, 1501, 500, 2, now() + interval '1 s');
SELECT test.commit(102, 1000, 1501, 500, NULL, now());
SELECT test.commit(103, 10, 2001, 10, 1, now() + interval '1 day');
COMMIT;
SQL
numbered(8010, 'thousands at once');
is(sql($node, <<'SQL'), <<'SHARES' =~ s/\n\z//r,
SELECT string_agg(stream_id || ': ' || n, ', ' ORDER BY stream_id)
FROM (SELECT numbered_at, stream_id, count(*) AS n
	FROM _factorymon.publication GROUP BY 1, 2) AS p
GROUP BY numbered_at ORDER BY numbered_at
SQL
101: 1333, 102: 1333, 103: 10
101: 2000, 102: 1667
101: 1667
SHARES
	'each transaction takes the same share of every stream that has so much');

# --- sensors that change, and more of them than are remembered ----------------

sql($node, <<'SQL');
SELECT test.versions(1001, 500, 3);
SELECT test.commit(101, 500, 1001, 500, 3, now());
SQL
numbered(8510, 'described anew');
sql($node, <<'SQL');
BEGIN;
SELECT test.sensors(10001, 17000), test.versions(10001, 17000, 1);
SELECT test.commit(104, 17000, 10001, 17000, 1, now());
COMMIT;
SELECT test.commit(101, 500, 1001, 500, 1, now());
SQL
numbered(26010, 'more sensors than are remembered');

# --- and Kafka ----------------------------------------------------------------

ok(poll_until($node, 'SELECT pending FROM factorymon.publisher_health', 0),
	'Kafka has everything');
is(alerts_are_in_order($node, $broker, 'all of it'), 26010, 'that is all');
$node->stop;

done_testing();
