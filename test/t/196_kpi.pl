
# Key figures of alarms: which position is called, how often, by what, and how
# fast somebody comes; floods, with their exact edges.  Transitions and their
# publications are written by hand, so every figure is known beforehand.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $module = "$FindBin::RealBin/../modules/fold_test/fold_test";
BAIL_OUT("$module.so is missing: make -C test/modules/fold_test")
  unless -r "$module.so";
my $node = new_node(conf => "factorymon.kpi_retention = '36500d'");

# --- what stands in for workers and publisher ---------------------------------

# Two pipelines that do not run; streams 1 and 2 are of the first, stream 3 is
# of the second.
sql($node, <<'SQL');
CREATE SERVER plant FOREIGN DATA WRAPPER kafka
	OPTIONS ("bootstrap.servers" '127.0.0.1:1');
BEGIN;
SELECT factorymon.create_pipeline('a', 'plant');
SELECT factorymon.create_pipeline('b', 'plant');
DELETE FROM _factorymon.pipeline_run;
COMMIT;
SELECT _factorymon.ensure_partition(p, 'transition', m)
FROM unnest(ARRAY['a', 'b']) AS p,
	generate_series('2024-01-01'::timestamptz, '2025-01-01', '28 days') AS m;
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic, kafka_partition,
	incarnation)
VALUES (1, 1, 'a', 0, 1), (2, 1, 'a', 1, 1), (3, 2, 'b', 0, 1);
CREATE SCHEMA test;
CREATE TABLE test.place (name text, factory_section text, zone text);
INSERT INTO test.place VALUES ('m1', 'milling', 'z1'), ('m2', 'milling', 'z2'),
	('p1', 'press', 'z1'), ('p2', 'press', 'z2');
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
SELECT 10 * q.pipeline_id + n, q.pipeline_id, p.name
FROM (SELECT *, row_number() OVER (ORDER BY name) AS n FROM test.place) AS p,
	_factorymon.pipeline AS q;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT sensor_id, sensor_id, 'temperature', factory_section, 'm', zone, 'K'
FROM _factorymon.sensor JOIN test.place USING (name);
SQL

sql($node, <<"SQL");
LOAD 'factorymon';
CREATE FUNCTION test.kpi_take(smallint, bigint, bigint) RETURNS bigint
	AS '$module', 'kpi_take' LANGUAGE C;
CREATE FUNCTION test.kpi_clock(smallint, timestamptz, bigint)
	RETURNS bigint AS '$module', 'kpi_clock' LANGUAGE C;
CREATE FUNCTION test.kpi_next_deadline(smallint) RETURNS timestamptz
	AS '$module', 'kpi_next_deadline' LANGUAGE C;
CREATE FUNCTION test.kpi_expire() RETURNS bigint
	AS '$module', 'kpi_expire' LANGUAGE C;
SQL

# happen(): one transition, and its publication, not taken yet.  Alarms have
# names here.  take() takes what has not been taken.
sql($node, <<'SQL');
CREATE FUNCTION test.last(p smallint) RETURNS bigint LANGUAGE sql AS
	'SELECT coalesce(max(pub_seq), 0) FROM _factorymon.publication
		WHERE pipeline_id = p';
CREATE FUNCTION test.happen(at timestamptz, sensor text, transition text,
	alarm text DEFAULT NULL, severity integer DEFAULT 500,
	state text DEFAULT 'active_unacknowledged',
	announced boolean DEFAULT NULL, event_time timestamptz DEFAULT NULL,
	actor text DEFAULT NULL, comment text DEFAULT NULL,
	stream integer DEFAULT 1)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
	pipeline smallint;
	numbered bigint;
	event uuid := gen_random_uuid();
	subject uuid := md5(coalesce(alarm, gen_random_uuid()::text))::uuid;
	calls boolean := coalesce(announced,
		transition IN ('raised', 'escalated', 're_alarmed'));
	version integer;
BEGIN
	SELECT pipeline_id INTO pipeline FROM _factorymon.stream
		WHERE stream_id = stream;
	SELECT sensor_id INTO version FROM _factorymon.sensor
		WHERE name = sensor AND pipeline_id = pipeline;
	SELECT coalesce(max(out_seq), 0) + 1 INTO numbered
		FROM _factorymon.transition WHERE stream_id = stream;
	INSERT INTO _factorymon.transition (recorded_at, event_id, alarm_id,
		pipeline_id, stream_id, ordinal, seq, sensor_id, sensor_version_id,
		condition, transition, state, level, severity, event_time, announced,
		cause, actor, comment, out_seq)
	VALUES (at, event, subject, pipeline, stream, 1, 1, version, version,
		'limit', transition, state, 0, severity, coalesce(event_time, at),
		calls, 'data', actor, comment, numbered);
	INSERT INTO _factorymon.publication (pipeline_id, pub_seq, event_id,
		stream_id, out_seq, recorded_at, message_key, payload, alarm_id,
		transition, severity, announced)
	VALUES (pipeline, test.last(pipeline) + 1, event, stream, numbered, at,
		sensor, '{}', subject, transition, severity, calls);
END
$$;
CREATE TABLE test.taken (pipeline_id integer PRIMARY KEY, pub_seq bigint);
CREATE FUNCTION test.take(p integer DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	result bigint := test.kpi_take(p::smallint, coalesce((SELECT pub_seq + 1
		FROM test.taken WHERE pipeline_id = p), 1), test.last(p::smallint));
BEGIN
	INSERT INTO test.taken VALUES (p, result)
		ON CONFLICT (pipeline_id) DO UPDATE SET pub_seq = result;
	RETURN result;
END
$$;
CREATE FUNCTION test.clock(now timestamptz, p integer DEFAULT 1)
RETURNS bigint LANGUAGE sql AS
	'SELECT test.kpi_clock(p::smallint, now, test.last(p::smallint))';
SQL

# Calls of test.happen(), one a line, and then one take of all of them.
sub happen
{
	my (@lines) = @_;

	sql($node, join '', map { "SELECT test.happen($_);\n" } @lines);
	return sql($node, 'SELECT test.take()');
}

sub is_sql
{
	my ($query, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql($node, $query), $expected, $name);
}

my $bins = <<'QUERY';
SELECT string_agg(concat_ws(' ', position, to_char(bin_at, 'MM-DD HH24:MI'),
	low, medium, high), E'\n' ORDER BY position, bin_at)
FROM factorymon.alarm_rate
QUERY

# --- positions, bins and severities --------------------------------------------
sql($node, <<'SQL');
INSERT INTO factorymon.operating_position_map (factory_section, zone, pipeline, position)
VALUES ('press', 'z1', NULL, 'Press, left'), (NULL, 'z1', NULL, 'All of z1'),
	('milling', 'z1', 'b', 'Mill of b');
SQL
happen(
	"'2024-01-10 23:59:59.999999', 'm2', 'raised', severity => 333",
	"'2024-01-11 00:00', 'm2', 'raised', severity => 334",
	"'2024-01-11 00:09:59.999999', 'm2', 'raised', severity => 666",
	"'2024-01-11 00:10', 'm2', 'raised', severity => 667",
	"'2024-01-11 00:10', 'm2', 'returned', severity => 667",
	"'2024-01-11 00:10', 'm2', 'raised', announced => false",
	"'2024-01-11 00:10', 'm1', 'raised'",
	"'2024-01-11 00:10', 'p1', 'raised'",
	"'2024-01-11 00:10', 'p2', 'raised'",
	# another stream, committed later, recorded earlier
	"'2024-01-11 00:05', 'm2', 'escalated', stream => 2, severity => 900");
my $first = <<'BINS';
All of z1 01-11 00:10 0 1 0
Press, left 01-11 00:10 0 1 0
milling 01-10 23:50 1 0 0
milling 01-11 00:00 0 2 1
milling 01-11 00:10 0 0 1
press 01-11 00:10 0 1 0
BINS
chomp $first;
is_sql($bins, $first,
	'announcements are counted by position, bin and severity, at the edges too');
sql($node, <<'SQL');
BEGIN;
SELECT test.happen('2024-01-11 00:10', 'm2', 'raised');
SELECT test.take();
ROLLBACK;
SELECT test.happen('2024-01-11 00:11', 'm1', 'raised', stream => 3);
SELECT test.take(2);
SQL
is_sql($bins, "$first" =~ s/^Press/Mill of b 01-11 00:10 0 1 0\nPress/mr,
	'what is rolled back is not counted; a row of the pipeline goes before one of any');
sql($node, q{UPDATE factorymon.operating_position_map SET position = 'Z1'
	WHERE position = 'All of z1'});
happen("'2024-01-11 00:12', 'm1', 'raised'");
like(sql($node, $bins), qr/^All of z1 01-11 00:10 0 1 0\n.*^Z1 01-11 00:10 0 1 0$/ms,
	'a change of the map is for what comes then');
is_sql(<<'QUERY', 'a milling z1 Z1,a press z1 Press, left,b milling z1 Mill of b,b milling z2 milling', 'the map, resolved');
SELECT string_agg(concat_ws(' ', pipeline, factory_section, zone, position), ','
	ORDER BY pipeline, factory_section, zone)
FROM factorymon.operating_position_areas
WHERE (pipeline, zone) = ('a', 'z1') OR (pipeline, factory_section) = ('b', 'milling')
QUERY

# --- what is no transition of a stream has its place in the message -------------
sql($node, <<'SQL');
INSERT INTO _factorymon.publication (pipeline_id, pub_seq, event_id, recorded_at,
	message_key, payload, alarm_id, transition, severity, announced)
SELECT 1, (SELECT test.last(1::smallint)) + n, gen_random_uuid(), '2024-01-12 00:00', key,
	payload, gen_random_uuid(), 'raised', 400, true
FROM (VALUES
	(1, 'p1', '{"condition":"silent","location":{"factory_section":"press","machine_id":"m","zone":"z1"}}'),
	(2, 'a', '{"condition":"silent","location":{"factory_section":null,"machine_id":null,"zone":null}}'),
	(3, 'nowhere', '{"condition":"flood","location":{"factory_section":null,"machine_id":null,"zone":null}}'))
	AS v(n, key, payload);
SELECT test.take();
SQL
is_sql("SELECT position, sensor_id, condition, severity_class FROM factorymon.alarm_calls
	WHERE announced_at = '2024-01-12' ORDER BY 1", "Press, left|p1|silent|medium\na||silent|medium",
	'what is about no sensor is for whoever looks after the pipeline; floods are no announcements');

# --- floods ----------------------------------------------------------------------
my $floods = <<'QUERY';
SELECT string_agg(concat_ws(' ', position, to_char(since, 'HH24:MI:SS.US'),
	to_char(started_at, 'HH24:MI:SS.US'),
	coalesce(to_char(ended_at, 'HH24:MI:SS.US'), 'goes on'),
	announcements, peak, pipeline), E'\n' ORDER BY started_at)
FROM factorymon.floods
QUERY

# n announcements, a minute apart, from a time on
sub announce
{
	my ($from, $n, $sensor, $stream) = @_;
	my $p = $stream == 3 ? 2 : 1;

	sql($node, <<"SQL");
SELECT test.happen('2024-02-01 $from'::timestamptz + i * interval '1 minute',
	'$sensor', 'raised', stream => $stream)
FROM generate_series(0, $n - 1) AS i
SQL
	return sql($node, "SELECT test.take($p)");
}
my $last = announce('10:00', 9, 'm2', 1);
is_sql($floods, '', 'nine are no flood');
happen("'2024-02-01 10:10', 'm2', 'raised'");
is_sql($floods, '',
	'nor is the tenth, ten minutes after the first to the microsecond');
is(happen("'2024-02-01 10:10:59.999999', 'm2', 'raised'"), $last + 3,
	'a microsecond before the second is ten minutes old it is, and goes out with the next number');
is_sql('SELECT started_at, since, announcements, peak FROM factorymon.floods',
	'2024-02-01 10:10:59.999999+00|2024-02-01 10:01:00+00|10|10',
	'since the first of the ten');
is_sql("SELECT test.kpi_next_deadline(1::smallint)", '2024-02-01 10:16:02+00',
	'the clock is asked for when fewer than five would be left, and a little');
is_sql("SELECT test.clock('2024-02-01 10:16:01.999999')", $last + 3,
	'not before');
# (10:06 is the fifth from the end.)  Late ones count where they belong.
happen(
	"'2024-02-01 10:11', 'm2', 'raised', stream => 2",
	"'2024-02-01 10:08:30', 'm2', 'raised'");
is_sql("SELECT test.kpi_next_deadline(1::smallint)", '2024-02-01 10:18:02+00',
	'two more put it off');
is_sql("SELECT test.clock('2024-02-01 10:18:01')", $last + 5, 'so it goes on');
is_sql("SELECT test.clock('2024-02-01 10:18:40')", $last + 6, 'and ends');
is_sql("SELECT test.clock('2024-02-01 10:18:50')", $last + 6, 'once');
is_sql($floods, 'milling 10:01:00.000000 10:10:59.999999 10:18:00.000000 12 11 a',
	'when fewer than five were left');
is_sql("SELECT test.kpi_next_deadline(1::smallint)", 'infinity',
	'the clock has nothing to do');

# what goes out
my $messages = sql($node, <<"QUERY");
SELECT string_agg(payload, E'\\n' ORDER BY pub_seq)
FROM _factorymon.publication WHERE message_key = 'milling'
QUERY
my ($event, $alarm) = $messages =~ /"event_id":"([^"]+)","alarm_id":"([^"]+)"/;
my ($over, $same) =
  $messages =~ /\n.*"event_id":"([^"]+)","alarm_id":"([^"]+)"/;
isnt($event, $over, 'start and end have ids of their own');
is($same, $alarm, 'of the same alarm');
$messages =~ s/"event_id":"[^"]+","alarm_id":"[^"]+"/IDS/g;
$messages =~ s/"recorded_at":"[-0-9]+T[0-9:]+\.[0-9]{6}Z"/RECORDED/g;
is($messages, <<'JSON' =~ s/\n(?=[^{])//gr =~ s/\n\z//r, 'its messages are like those of alarms');
{"schema":"factorymon.alert/1",IDS,"seq":1,"condition":"flood","transition":"raised","state":"active_acknowledged",
"announced":true,"blocked_by":null,"level":"warning","side":null,"severity":600,
"previous":{"state":"normal","level":"normal"},"sensor_id":null,"sensor_type":null,
"location":{"factory_section":null,"machine_id":null,"zone":null},"value":10,"unit":null,"limit":10,
"deadband":null,"quality":null,"score":null,"event_time":"2024-02-01T10:10:59.999999Z","since":"2024-02-01T10:01:00.000000Z",
"raised_at":"2024-02-01T10:10:59.999999Z",RECORDED,"cause":"data","by":null,"comment":null,"pipeline":"a",
"source":{"topic":null,"partition":null,"offset":null,"reading_index":null},"limit_version":null,"position":"milling","peak":10}
{"schema":"factorymon.alert/1",IDS,"seq":2,"condition":"flood","transition":"returned","state":"normal",
"announced":false,"blocked_by":null,"level":"normal","side":null,"severity":600,
"previous":{"state":"active_acknowledged","level":"warning"},"sensor_id":null,"sensor_type":null,
"location":{"factory_section":null,"machine_id":null,"zone":null},"value":12,"unit":null,"limit":null,
"deadband":null,"quality":null,"score":null,"event_time":"2024-02-01T10:18:00.000000Z","since":"2024-02-01T10:01:00.000000Z",
"raised_at":"2024-02-01T10:10:59.999999Z",RECORDED,"cause":"clock","by":null,"comment":null,"pipeline":"a",
"source":{"topic":null,"partition":null,"offset":null,"reading_index":null},"limit_version":null,"position":"milling","peak":11}
JSON
is_sql('SELECT count(*), count(DISTINCT pub_seq), max(pub_seq) FROM _factorymon.publication WHERE pipeline_id = 1',
	join('|', ($last + 6) x 3), 'numbers are dense');

# ended by what comes later; the next one begins
announce('12:00', 10, 'm2', 1);
announce('13:00', 10, 'm2', 1);
is_sql("$floods WHERE started_at > '2024-02-01 12:00'" =~ s/\n\z//r, <<'ROWS' =~ s/\n\z//r, 'an announcement after its end ends a flood at its end');
milling 12:00:00.000000 12:09:00.000000 12:15:00.000000 10 10 a
milling 13:00:00.000000 13:09:00.000000 13:15:00.000000 10 10 a
ROWS
is_sql("SELECT in_flood FROM factorymon.operating_positions WHERE position = 'milling'",
	'f', 'the flag goes by the clock, also where nobody has noted the end');

# a crash loses and repeats nothing
announce('14:00', 9, 'm2', 1);
$node->stop('immediate');
$node->start;
announce('14:09', 1, 'm2', 1);
is_sql("$floods WHERE started_at > '2024-02-01 14:00'" =~ s/\n\z//r,
	'milling 14:00:00.000000 14:09:00.000000 14:15:00.000000 10 10 a',
	'nine before a crash and one after it are a flood');
is_sql(<<'QUERY', 't', 'every start and end is told once, in order');
SELECT bool_and(f.started_seq < f.ended_seq OR f.ended_seq IS NULL)
	AND count(*) = (SELECT count(*) FROM _factorymon.publication
		WHERE message_key = 'milling' AND transition = 'raised')
FROM _factorymon.flood AS f
QUERY
sql($node, "SELECT test.clock('2024-02-02')");

# one position, two pipelines: the one that begins it tells of it
sql($node, "INSERT INTO factorymon.operating_position_map (zone, position)
	VALUES ('z2', 'Hall')");
announce('16:00', 5, 'm2', 1);
announce('16:00', 5, 'p2', 3);
is_sql("$floods WHERE position = 'Hall'" =~ s/\n\z//r,
	'Hall 16:00:00.000000 16:04:00.000000 16:12:00.000000 10 10 b',
	'announcements of two pipelines make a flood');
announce('17:00', 1, 'm2', 1);
is_sql(<<'QUERY', 'raised 2', 'which the other one may end, but not tell of');
SELECT string_agg(transition || ' ' || pipeline_id, ',' ORDER BY pub_seq)
FROM _factorymon.publication WHERE message_key = 'Hall'
QUERY
is_sql("SELECT test.kpi_next_deadline(2::smallint) <= now()", 't',
	'the clock of the first is due');
sql($node, "SELECT test.clock('2024-02-01 18:00', 2)");
is_sql(<<'QUERY', 'raised 2,returned 2', 'and tells of it');
SELECT string_agg(transition || ' ' || pipeline_id, ',' ORDER BY pub_seq)
FROM _factorymon.publication WHERE message_key = 'Hall'
QUERY

# both at once: the second waits for the first, and counts on from there
my @takers = map { $node->background_psql('factory') } 1 .. 2;
sql($node, <<'SQL');
SELECT test.happen('2024-02-01 18:00'::timestamptz + i * interval '1 second', 'm2', 'raised')
FROM generate_series(1, 5) AS i;
SELECT test.happen('2024-02-01 18:00'::timestamptz + i * interval '1 second', 'p2', 'raised', stream => 3)
FROM generate_series(6, 10) AS i;
SQL
$takers[0]->query_safe('BEGIN; SELECT test.take(1)');
$takers[1]->query_until(qr/started/, "\\echo started\nSELECT test.take(2);\n");
ok(poll_until($node, <<'QUERY', 1), 'two pipelines at one position take turns');
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query ~ '^SELECT test.take.2'
QUERY
$takers[0]->query_safe('COMMIT');
$_->quit foreach @takers;
is_sql("$floods WHERE started_at > '2024-02-01 18:00'" =~ s/\n\z//r,
	'Hall 18:00:01.000000 18:00:10.000000 18:10:06.000000 10 10 b',
	'and none of it is lost');
sql($node, "DELETE FROM factorymon.operating_position_map WHERE position = 'Hall'");

# --- calls, response ----------------------------------------------------------------
my $calls = <<'QUERY';
SELECT string_agg(concat_ws(' ', call, to_char(announced_at, 'HH24:MI'),
	announcements, raises, severity, severity_class, response_seconds,
	acknowledged_by, CASE WHEN re_alarm THEN 're-alarm' END,
	to_char(ended_at, 'HH24:MI')), E'\n' ORDER BY announced_at, call)
FROM factorymon.alarm_calls
QUERY
happen(
	"'2024-03-01 08:00', 'p2', 'raised', 'A'",
	"'2024-03-01 08:01', 'p2', 'escalated', 'A', severity => 900",
	"'2024-03-01 08:02', 'p2', 'acknowledged', 'A', severity => 900, state => 'active_acknowledged', actor => 'eve'",
	"'2024-03-01 08:30', 'p2', 're_alarmed', 'A', severity => 900");
happen(
	"'2024-03-01 08:40', 'p2', 'acknowledged', 'A', severity => 900, state => 'active_acknowledged', actor => 'bob'",
	"'2024-03-01 08:50', 'p2', 'returned', 'A', severity => 900, state => 'normal'",
	# nobody came, and it came again
	"'2024-03-01 09:00', 'p2', 'raised', 'B'",
	"'2024-03-01 09:01', 'p2', 'returned', 'B', state => 'returned_unacknowledged'");
happen(
	"'2024-03-01 09:02', 'p2', 'raised', 'B'",
	"'2024-03-01 09:10', 'p2', 'disabled', 'B', state => 'normal'",
	# raised while it was blocked: nobody was called
	"'2024-03-01 09:20', 'p2', 'unshelved', 'C', state => 'normal'",
	# returned, and acknowledged later
	"'2024-03-01 09:30', 'p2', 'raised', 'D', severity => 200",
	"'2024-03-01 09:31', 'p2', 'returned', 'D', severity => 200, state => 'returned_unacknowledged'",
	"'2024-03-01 09:35', 'p2', 'acknowledged', 'D', severity => 200, state => 'normal', actor => 'eve'",
	# waits
	"'2024-03-01 09:40', 'p2', 'raised', 'E'");
is_sql("$calls WHERE announced_at >= '2024-03-01'" =~ s/\n\z//r, <<'ROWS' =~ s/\n\z//r, 'calls, from the first announcement to the acknowledgement');
1 08:00 2 1 900 high 120 eve
2 08:30 1 0 900 high 600 bob re-alarm 08:50
1 09:00 2 2 500 medium 09:10
1 09:30 1 1 200 low 300 eve 09:35
1 09:40 1 1 500 medium
ROWS
is_sql(<<'QUERY', <<'ROWS' =~ s/\n\z//r, 'response by severity');
SELECT severity_class, calls, percent, acknowledged, never_acknowledged, waiting,
	p50_seconds, p95_seconds, longest_seconds, longest_waiting_seconds > 0, re_alarms
FROM factorymon.alarm_response('2024-03-01', '2024-03-02') WHERE position = 'press'
QUERY
high|2|40|2|0|0|360|576|600||1
medium|2|40|0|1|1||||t|0
low|1|20|1|0|0|300|300|300||0
ROWS

# --- chattering, fleeting -------------------------------------------------------------
happen(
	"'2024-03-02 08:00:00', 'p1', 'raised', 'F', event_time => '2024-03-02 07:00:00'",
	"'2024-03-02 08:00:01', 'p1', 'returned', 'F', event_time => '2024-03-02 07:00:10', state => 'returned_unacknowledged'",
	"'2024-03-02 08:00:02', 'p1', 'raised', 'F', event_time => '2024-03-02 07:00:20'",
	"'2024-03-02 08:00:03', 'p1', 'returned', 'F', event_time => '2024-03-02 07:00:30.000001', state => 'returned_unacknowledged'");
happen(
	"'2024-03-02 08:00:04', 'p1', 'raised', 'F', event_time => '2024-03-02 07:00:40'",
	"'2024-03-02 08:00:04', 'p1', 'chattering', 'F', event_time => '2024-03-02 07:00:40'",
	"'2024-03-02 08:00:05', 'p1', 'returned', 'F', event_time => '2024-03-02 07:00:41', state => 'returned_unacknowledged'",
	"'2024-03-02 08:02:00', 'p1', 'settled', 'F', state => 'returned_unacknowledged'");
is_sql(<<'QUERY', 'Press, left|p1|limit|1|2|3', 'chattering and fleeting, by the time of the readings');
SELECT position, sensor_id, condition, chatterings, fleeting, raises
FROM factorymon.alarm_noise('2024-03-02', '2024-03-03')
QUERY

# --- blocks --------------------------------------------------------------------------
happen(
	"'2024-03-03 08:00', 'm2', 'shelved', 'G', actor => 'eve', comment => 'cleaning', state => 'normal'",
	"'2024-03-03 08:05', 'm2', 'unshelved', 'G', state => 'normal'",
	"'2024-03-03 08:10', 'm2', 'shelved', 'G', actor => 'bob', comment => 'again', state => 'normal'",
	"'2024-03-03 08:20', 'm2', 'out_of_service', 'G', actor => 'eve', state => 'normal'");
happen(
	"'2024-03-03 08:30', 'm2', 'unshelved', 'G', actor => 'ann', state => 'normal'",
	# by an operator and within a maintenance window
	"'2024-03-03 09:00', 'm2', 'suppressed', 'G', actor => 'eve', comment => 'by design', state => 'normal'",
	"'2024-03-03 09:10', 'm2', 'suppressed', 'G', state => 'normal'",
	"'2024-03-03 09:20', 'm2', 'unsuppressed', 'G', actor => 'bob', state => 'normal'");
happen("'2024-03-03 09:40', 'm2', 'unsuppressed', 'G', state => 'normal'");
is_sql(<<'QUERY', <<'ROWS' =~ s/\n\z//r, 'what was blocked, by whom, why and for how long');
SELECT concat_ws(' ', kind, to_char(blocked_at, 'HH24:MI'), blocked_by, reason,
	unblocked_by, CASE WHEN active THEN 'still' ELSE seconds::text END)
FROM factorymon.alarm_blocked ORDER BY blocked_at
QUERY
shelved 08:00 eve cleaning 300
shelved 08:10 bob again ann 1200
out_of_service 08:20 eve still
suppressed 09:00 eve by design bob 1200
suppressed 09:10 1800
ROWS

# --- the figures themselves -----------------------------------------------------------
# Two hours: 12 + 0 + 11 + 10 + 0 + 0 and 31 announcements in a single bin.
foreach my $bin ([ '10:00', 12 ], [ '10:20', 11 ], [ '10:30', 10 ],
	[ '11:20', 31 ])
{
	my ($at, $n) = @$bin;

	sql($node, <<"SQL");
SELECT test.happen('2024-04-01 $at'::timestamptz + i * interval '10 seconds', 'm2',
	'raised', 'X' || i, severity => CASE WHEN i = 0 THEN 900 WHEN i = 1 THEN 500 ELSE 100 END)
FROM generate_series(0, $n - 1) AS i
SQL
}
sql($node, 'SELECT test.take()');
# floods: from 10:01:30 (the tenth) to 10:11:10 (the fifth from the end + 10 min);
# from 10:21:30 on: the last five are at 10:30:50...10:31:30, so to 10:40:50;
# from 11:21:30 to 11:34:20: 580 + 1160 + 770 = 2510 s
is_sql(<<'QUERY', <<'ROWS' =~ s/\n\z//r, 'rates, peaks and floods of two hours');
SELECT announcements, per_10_minutes, per_hour, per_day, largest_bin,
	round(bins_above_10_percent::numeric, 2), hours_above_30_percent, floods, flood_seconds,
	round(flood_percent::numeric, 3), longest_flood_seconds, largest_flood,
	low_percent, medium_percent, high_percent
FROM factorymon.alarm_kpi('2024-04-01 10:00', '2024-04-01 12:00') WHERE position = 'milling'
QUERY
64|5.333333333333333|32|768|31|25.00|100|3|2510|34.861|1160|31|87.5|6.25|6.25
ROWS
is_sql(<<'QUERY', '2024-04-01 10:10:00+00|2024-04-01 11:20:00+00|4200|21||70', 'only whole bins and hours count, and of a flood what is within');
SELECT from_at, to_at, seconds, announcements, hours_above_30_percent, flood_seconds - 1160
FROM factorymon.alarm_kpi('2024-04-01 10:00:00.000001', '2024-04-01 11:29:59') WHERE position = 'milling'
QUERY
is_sql(<<'QUERY', 'milling 1 m2 limit 64 100', 'the most frequent alarms');
SELECT concat_ws(' ', position, rank, sensor_id, condition, announcements, cumulative_percent)
FROM factorymon.alarm_top('2024-04-01', '2024-04-02')
QUERY
is_sql(<<'QUERY', '0|0||0', 'what was never called has no shares');
SELECT announcements, per_hour, low_percent, floods
FROM factorymon.alarm_kpi('2024-04-01', '2024-04-02') WHERE position = 'press'
QUERY
is_sql(<<'QUERY', '5|2|1|2', 'blocks and calls are counted');
SELECT blocks, blocks_without_reason, blocked,
	(SELECT never_acknowledged + re_alarms FROM factorymon.alarm_kpi('2024-03-01', '2024-03-02')
		WHERE position = 'press')
FROM factorymon.alarm_kpi('2024-03-03', '2024-03-04') WHERE position = 'milling'
QUERY

# --- what stands now --------------------------------------------------------------------
sql($node, <<'SQL');
INSERT INTO _factorymon.alarm (stream_id, sensor_id, condition, alarm_id, seq, state,
	level, since, re_alarms, event_id, sensor_version_id, severity, shelving, blocks,
	chattering, as_of, record)
SELECT 1, sensor, 'limit', md5(alarm)::uuid, 1, state, level, now() - since, 0,
	gen_random_uuid(), sensor, 500, shelving, 0, false, 0, ''
FROM (VALUES
	(14, 'E', 'active_unacknowledged', 6, interval '24:00:01', 'none'),
	(12, 'nobody called', 'active_unacknowledged', 5, '23:59', 'timed'),
	(13, 'F', 'returned_unacknowledged', 0, '3 days', 'none'))
	AS v(sensor, alarm, state, level, since, shelving);
SQL
is_sql(<<'QUERY', "milling|m2|shelved|f|\npress|p2||t|t", 'what is active, blocked or not, and for too long');
SELECT position, sensor_id, blocked_by, stale, unacknowledged_seconds > 86400
FROM factorymon.alarm_standing ORDER BY 1
QUERY
is_sql(<<'QUERY', "milling|1|0|\npress|1|1|t", 'as key figures');
SELECT position, standing, stale, longest_unacknowledged_seconds > 86400
FROM factorymon.alarm_kpi() WHERE standing > 0
QUERY

# --- days -------------------------------------------------------------------------------
# Berlin: 2024-03-31 has 23 hours, from 23:00 UTC the day before to 22:00 UTC;
# 2024-10-27 has 25.
happen(
	"'2024-03-30 22:59:59', 'p2', 'raised'", "'2024-03-30 23:00', 'p2', 'raised'",
	"'2024-03-31 21:59:59', 'p2', 'raised'", "'2024-03-31 22:00', 'p2', 'raised'",
	"'2024-10-27 00:30', 'p2', 'raised'", "'2024-10-27 01:30', 'p2', 'raised'");
my $rates = <<'QUERY';
SELECT to_char(from_at, 'MM-DD HH24:MI'), seconds, announcements FROM factorymon.alarm_rates
QUERY
is_sql("SET TimeZone = 'Europe/Berlin'; $rates('day', '2024-03-30 12:00', '2024-04-01 01:00')
	WHERE position = 'press'", <<'ROWS' =~ s/\n\z//r, 'a day is a day of the plant, also when clocks change');
03-30 00:00|86400|1
03-31 00:00|82800|2
04-01 00:00|86400|1
ROWS
is_sql("SET TimeZone = 'Europe/Berlin'; $rates('hour', '2024-10-27 02:00+02', '2024-10-27 03:00+01')
	WHERE position = 'press'", "10-27 02:00|3600|1\n10-27 02:00|3600|1",
	'and the hour that comes twice is two');
is_sql("$rates('day', '2024-10-27', '2024-10-28') WHERE position = 'press'",
	'10-27 00:00|86400|2', 'in UTC nothing changes');
my $err;
$node->psql('factory', "SELECT * FROM factorymon.alarm_rates('minute')",
	stderr => \$err);
like($err, qr/ERROR:  unit "minute: not hour, day, week, month or year" not recognized/,
	'a unit less than an hour is an error');

# --- dump and restore ---------------------------------------------------------------------
my $everything = join ' UNION ALL ', map {
	"SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM ($_) AS x"
} ('TABLE factorymon.alarm_rate', 'TABLE factorymon.floods',
	'TABLE factorymon.alarm_calls', 'TABLE factorymon.operating_position_map',
	'TABLE _factorymon.alarm_block', 'TABLE _factorymon.operating_position',
	<<'QUERY');
SELECT position, announcements, flood_seconds, response_p95_seconds, top_10_percent, blocks
FROM factorymon.alarm_kpi('2024-01-01', '2024-05-01')
QUERY
announce('20:00', 9, 'm2', 1);
my $before = sql($node, $everything);
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-N', 'test', $node->connstr('factory') ],
	'pg_dump');
my $restored = new_node(name => 'restored', extension => 0,
	conf => "factorymon.kpi_retention = '36500d'");
$restored->command_ok(
	[ 'pg_restore', '-1', '-d', $restored->connstr('factory'), $dump ],
	'pg_restore');
is(sql($restored, $everything), $before, 'nothing is lost by a dump');
$restored->stop;

# --- retention, dropping ----------------------------------------------------------------------
sql($node, <<'SQL');
ALTER SYSTEM SET factorymon.kpi_retention =
	'1d';
SELECT pg_reload_conf();
SQL
ok(poll_until($node, 'SHOW factorymon.kpi_retention', '1d'), 'retention is short');
sql($node, "SELECT test.clock('2024-12-01'), test.clock('2024-12-01', 2)");
sql($node, 'SELECT test.kpi_expire()');
is_sql(<<'QUERY', "0|0|0|t", 'what is old and over is forgotten; what is not over stays');
SELECT (SELECT count(*) FROM _factorymon.alarm_bin), (SELECT count(*) FROM _factorymon.flood),
	(SELECT count(*) FROM _factorymon.alarm_block WHERE unblocked_at IS NOT NULL),
	(SELECT bool_and(ended_at IS NULL) FROM _factorymon.alarm_call)
QUERY
sql($node, 'ALTER SYSTEM RESET factorymon.kpi_retention; SELECT pg_reload_conf()');
ok(poll_until($node, 'SHOW factorymon.kpi_retention', '36500d'), 'and long again');

# --- a million ------------------------------------------------------------------------------
# A year of 2,000 sensors in 20 sections, half of the transitions announcements.
sql($node, <<'SQL');
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
SELECT i, 1, 'bulk-' || i FROM generate_series(1001, 3000) AS i;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT i, i, 'temperature', 'section-' || i % 20, 'm', 'z', 'K'
FROM generate_series(1001, 3000) AS i;
CREATE TABLE test.bulk AS
SELECT i, md5((i / 2)::text)::uuid AS alarm_id, 1001 + (i / 2)::bigint * 7919 % 2000 AS sensor_id,
	'2024-01-01'::timestamptz + i * interval '28 seconds' AS at, i % 2 = 0 AS raised,
	(ARRAY[200, 200, 500, 900])[1 + i / 2 % 4] AS severity,
	(SELECT max(out_seq) FROM _factorymon.transition WHERE stream_id = 1) + 1 + i AS out_seq,
	(SELECT test.last(1::smallint)) + 1 + i AS pub_seq
FROM generate_series(0, 999999) AS i;
INSERT INTO _factorymon.transition (recorded_at, event_id, alarm_id, pipeline_id, stream_id,
	ordinal, seq, sensor_id, sensor_version_id, condition, transition, state, level, severity,
	event_time, announced, cause, out_seq)
SELECT at, md5(i::text)::uuid, alarm_id, 1, 1, 1, 1, sensor_id, sensor_id, 'limit',
	CASE WHEN raised THEN 'raised' ELSE 'acknowledged' END,
	CASE WHEN raised THEN 'active_unacknowledged' ELSE 'active_acknowledged' END,
	0, severity, at, raised, 'data', out_seq
FROM test.bulk;
INSERT INTO _factorymon.publication (pipeline_id, pub_seq, event_id, stream_id, out_seq,
	recorded_at, message_key, payload, alarm_id, transition, severity, announced)
SELECT 1, pub_seq, md5(i::text)::uuid, 1, out_seq, at, 'bulk', '{}', alarm_id,
	CASE WHEN raised THEN 'raised' ELSE 'acknowledged' END, severity, raised
FROM test.bulk;
CREATE PROCEDURE test.take_all(step bigint) LANGUAGE plpgsql AS $$
DECLARE
	at bigint := (SELECT min(pub_seq) FROM test.bulk);
	until bigint := (SELECT max(pub_seq) FROM test.bulk);
BEGIN
	WHILE at <= until LOOP
		ASSERT test.kpi_take(1::smallint, at, least(at + step - 1, until))
			= least(at + step - 1, until), 'no flood is expected';
		at := at + step;
		COMMIT;
	END LOOP;
END
$$;
SQL

sub timed
{
	my ($name, $query) = @_;
	my $start = time;
	my $result = sql($node, $query);
	my $seconds = time - $start;

	note sprintf '%s: %.3f s', $name, $seconds;
	return ($result, $seconds);
}
my (undef, $taking) = timed('taking a million', 'CALL test.take_all(1000)');
note sprintf '%.1f us each', $taking;
cmp_ok($taking, '<', 200, 'taking costs less than 200 us each, on a busy machine');
sql($node, 'ANALYZE _factorymon.alarm_bin, _factorymon.alarm_call');
my ($total, $seconds) = timed('key figures of all of it', <<'QUERY');
SELECT sum(announcements), sum(calls), sum(acknowledged), min(response_p50_seconds)
FROM factorymon.alarm_kpi('2024-01-01', '2025-01-01') WHERE position ~ '^section'
QUERY
is($total, '500000|500000|500000|28', 'every one of a million is counted');
cmp_ok($seconds, '<', 20, 'in less than 20 s');
(undef, $seconds) = timed('key figures of a day',
	q{SELECT * FROM factorymon.alarm_kpi('2024-06-01', '2024-06-02')});
cmp_ok($seconds, '<', 2, 'a day in less than 2 s');
(undef, $seconds) = timed('daily rates of it',
	q{SELECT count(*) FROM factorymon.alarm_rates('day', '2024-01-01', '2025-01-01')});
cmp_ok($seconds, '<', 5, 'daily rates in less than 5 s');
timed('the most frequent', q{SELECT count(*) FROM factorymon.alarm_top('2024-01-01', '2025-01-01')});
timed('response', q{SELECT count(*) FROM factorymon.alarm_response('2024-01-01', '2025-01-01')});
like(sql($node, <<'QUERY'), qr/Index (Only )?Scan|Bitmap Index Scan/, 'a day of bins is a range of an index');
EXPLAIN SELECT * FROM factorymon.alarm_rate WHERE bin_at >= '2024-06-01' AND bin_at < '2024-06-02'
QUERY
like(sql($node, <<'QUERY'), qr/alarm_call_announced/, 'and so is a day of calls');
EXPLAIN SELECT * FROM factorymon.alarm_calls WHERE announced_at >= '2024-06-01' AND announced_at < '2024-06-02'
QUERY
sql($node, "SELECT factorymon.drop_pipeline('a')");
is_sql(<<'QUERY', '0|0|0|0', 'a dropped pipeline takes what was counted with it');
SELECT (SELECT count(*) FROM _factorymon.alarm_bin WHERE pipeline_id = 1),
	(SELECT count(*) FROM _factorymon.alarm_call WHERE pipeline_id = 1),
	(SELECT count(*) FROM _factorymon.alarm_block), (SELECT count(*) FROM _factorymon.flood)
QUERY

$node->stop;
done_testing();
