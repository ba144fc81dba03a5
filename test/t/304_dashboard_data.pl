# What the page shows, as the dashboard gives it: the plant, sensors, readings of
# a sensor over time, rejects and key figures against a state that is made in
# the base tables; the same as CSV; parameters; the page's files.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Digest::SHA qw(sha256_hex);
use FactorymonDashboard;
use FactorymonTest;
use IO::Uncompress::Gunzip qw(gunzip);
use IPC::Run ();
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node();
my $odd = q{=1+1 "50%", Ü€'x};
my @lists = qw(system-status consumer-health producer-health
  partition-assignment real-time-metrics recent-alerts alarms plant cities sensors
  sensor-series rejects kpi);

# Pipelines that no worker serves, so that nothing but this is there: sensors of
# which one name is in both, readings around one hour, two streams of rejects.
sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, retention, partition_interval, owner)
SELECT id, name, 'nowhere', 'topic', name, 'factory', 2, 'earliest', 'stop',
	'7 days', '1 hour', '30 days', '1 day', 'somebody'
FROM (VALUES (904, 'hall'), (905, 'yard')) AS p(id, name);
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation)
VALUES (9040, 904, 'topic', 0, 1), (9041, 904, 'topic', 1, 1),
	(9050, 905, 'topic', 0, 1);
CREATE TABLE _factorymon.reading_904 PARTITION OF _factorymon.reading
	FOR VALUES IN (904);
CREATE TABLE _factorymon.reading_905 PARTITION OF _factorymon.reading
	FOR VALUES IN (905);
CREATE TABLE _factorymon.reject_904 PARTITION OF _factorymon.reject
	FOR VALUES IN (904);
CREATE TABLE _factorymon.transition_904 PARTITION OF _factorymon.transition
	FOR VALUES IN (904);
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name, registered_at)
VALUES (1, 904, 'temp-001', '2025-01-01'), (2, 905, 'temp-001', '2025-01-02'),
	(3, 904, '=1+1 "50%", Ü€''x', '2025-01-01'),
	(4, 904, 'quiet', '2025-01-01');
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
VALUES (1, 1, 'temperature', 'north', 'm1', 'z1', '°C'),
	(2, 2, 'temperature', 'north', 'm2', 'z2', '°C'),
	(3, 3, 'pressure', '@south', 'm3', 'z2', 'bar'),
	(4, 4, 'humidity', '-south', 'm3', 'z2', '%');
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT ts::timestamptz, 1, value, 1, 9040, 1, 904, 0, level, flags
FROM (VALUES ('2025-03-01 23:59:59.999999+00', 1000, 0, 0),
	('2025-03-02 00:00:00+00', 10, 0, 0),
	('2025-03-02 00:00:05.999+00', 20, 9, 0),
	('2025-03-02 00:00:06+00', 30, 0, 0),
	('2025-03-02 00:30:00+00', -5, 6, 0),
	('2025-03-02 00:30:01+00', 100, 9, 8),
	('2025-03-02 00:30:02+00', 1, 0, 64),
	('2025-03-02 00:59:59.999999+00', 7, 0, 0),
	('2025-03-02 01:00:00+00', 2000, 0, 0)) AS r(ts, value, level, flags)
UNION ALL SELECT '2025-03-02 00:10:00+00', 1, 77, 2, 9050, 2, 905, 0, 0, 0
UNION ALL SELECT timestamptz '2025-03-02 00:00+00' + n * interval '0.7 s', n,
	sin(n) * n, 3, 9041, 3, 904, 0, 0, 0
FROM generate_series(0, 5200) AS n;
INSERT INTO _factorymon.alarm (stream_id, sensor_id, condition, seq, state,
	level, since, severity, re_alarms, event_id, shelving, blocks, chattering,
	as_of, record)
VALUES (9041, 3, 'limit', 1, 'active_unacknowledged', 10,
	'2025-03-02 00:00:00+00', 900, 0, gen_random_uuid(), 'none', 0, false, 1,
	'');
INSERT INTO _factorymon.transition (recorded_at, event_id, alarm_id,
	pipeline_id, stream_id, ordinal, seq, sensor_id, sensor_version_id,
	condition, transition, state, level, value, limit_value, announced, cause,
	actor, comment)
SELECT timestamptz '2025-03-02 00:00+00' + n * interval '10 s',
	gen_random_uuid(), gen_random_uuid(), 904, 9040, 0, n + 3, 1, 1, 'limit',
	'raised', 'active_unacknowledged', 10, -n, 5, true, 'reading', 'jane',
	'number ' || n
FROM generate_series(-2, 400) AS n;
INSERT INTO _factorymon.reject (rejected_at, pipeline_id, stream_id,
	kafka_offset, message_at, value, reason, sqlstate, detail, attempts)
SELECT '2025-03-02 00:00+00'::timestamptz + n * interval '1 s', 904,
	9040 + n % 2, 9007199254740992 + n, timestamptz '2025-03-01 00:00+00'
	+ nullif(n, 3) * interval '1 s', CASE WHEN n <> 2 THEN
	convert_to((ARRAY['=HYPERLINK("x")', '+1', '-1.5e3', '@x',
		'a "quoted", one', E'two\r\nlines', E'\tx', 'plain ü',
		repeat('x', 300), '-1+2'])[n], 'UTF8') END,
	'not_json', 'FM001', CASE WHEN n <> 4 THEN '-' || n END, n
FROM generate_series(1, 10) AS n;
INSERT INTO _factorymon.operating_position ("position") VALUES ('north');
INSERT INTO _factorymon.alarm_bin (bin_at, "position", pipeline_id, low,
	medium, high)
SELECT date_bin('10 min', now(), '2000-01-01 00:00+00') - n * interval '1 hour',
	'north', 904, n, 1, 0
FROM generate_series(1, 40) AS n;
INSERT INTO factorymon.threshold (sensor_type, critical_high, warning_high,
	deadband, expected_interval)
VALUES ('temperature', 90, 80, 1, '5 s');
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_low,
	critical_high, warning_high)
VALUES ('temperature', 'temp-001', -4, 50, NULL);
QUERY
my $dashboard = start_dashboard($node, role => 'watcher',
	args => [ '--time-zone', 'America/Sao_Paulo' ]);

# A text of a query string.
sub escaped
{
	my ($text) = @_;

	$text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

sub series
{
	my (%opt) = (seconds => 3600, to => '2025-03-02T01:00:00Z', @_);

	return '/api/sensor-series?'
	  . join '&', map { "$_=" . escaped($opt{$_}) } sort keys %opt;
}

sub json { my ($path) = @_; return $dashboard->get($path)->{json} }

# Rows of a query as the dashboard should give them.
sub rows
{
	my ($query) = @_;
	my $text = sql($node, "SELECT coalesce(json_agg(q), '[]') FROM ($query) q");

	$text =~ s/\+00:00"/Z"/g;
	return decode_json($text);
}

# The chosen columns of what came.
sub columns
{
	my ($rows, @names) = @_;

	return [ map { my $row = $_; +{ map { $_ => $row->{$_} } @names } } @$rows ];
}

# CSV as Python reads it, which knows nothing of ours.
sub table_of
{
	my ($text) = @_;
	my ($out, $err);

	IPC::Run::run([ 'python3', '-c', <<'PROGRAM' ],
import csv, io, json, sys
text = sys.stdin.buffer.read().decode("utf-8")
json.dump(list(csv.reader(io.StringIO(text, newline=""), strict=True)), sys.stdout)
PROGRAM
		'<', \$text, '>', \$out, '2>', \$err, IPC::Run::timeout(60))
	  or die "python3: $err";
	my ($names, @rows) = @{ decode_json($out) };
	return ($names, [ map { my %row; @row{@$names} = @$_; \%row } @rows ]);
}

# The plant and its sensors
my $machines = json('/api/plant')->{machines};
is_deeply(columns($machines, qw(machine_id zone level alarms_critical)),
	[ { machine_id => 'm3', zone => 'z2', level => 'critical',
			alarms_critical => 1 },
		{ machine_id => 'm1', zone => 'z1', level => 'normal',
			alarms_critical => 0 },
		{ machine_id => 'm2', zone => 'z2', level => 'normal',
			alarms_critical => 0 },
		{ machine_id => 'm3', zone => 'z2', level => 'normal',
			alarms_critical => 0 } ], 'machines, the worst one first');
is_deeply(columns([ sort { "$a->{machine_id} $a->{factory_section}" cmp
				"$b->{machine_id} $b->{factory_section}" } @$machines ],
		qw(machine_id factory_section pipeline sensors last_reading_at)),
	rows(<<'QUERY'),
SELECT v.machine_id, v.factory_section, p.name AS pipeline,
	count(DISTINCT s.sensor_id) AS sensors, max(r.ts) AS last_reading_at
FROM _factorymon.sensor s JOIN _factorymon.sensor_version v USING (sensor_id)
	JOIN _factorymon.pipeline p USING (pipeline_id)
	LEFT JOIN _factorymon.reading r USING (sensor_id)
GROUP BY 1, 2, 3 ORDER BY 1, v.factory_section COLLATE "C"
QUERY
	'as they are in the tables');
my $sensors = json('/api/sensors')->{sensors};
is_deeply(columns([ sort { "$a->{sensor_id} $a->{pipeline}" cmp
				"$b->{sensor_id} $b->{pipeline}" } @$sensors ],
		qw(sensor_id pipeline factory_section zone machine_id unit value level
		  side last_ts)), rows(<<'QUERY'), 'sensors with their newest readings');
SELECT s.name AS sensor_id, p.name AS pipeline, v.factory_section, v.zone,
	v.machine_id, v.unit, r.value, CASE r.level & 3 WHEN 0 THEN 'normal' END
		AS level, NULL AS side, r.ts AS last_ts
FROM _factorymon.sensor s
	JOIN _factorymon.pipeline p USING (pipeline_id)
	LEFT JOIN LATERAL (SELECT * FROM _factorymon.reading x
		WHERE x.sensor_id = s.sensor_id ORDER BY ts DESC LIMIT 1) r ON true
	LEFT JOIN _factorymon.sensor_version v USING (sensor_version_id)
ORDER BY s.name COLLATE "C", p.name
QUERY
is(scalar @$sensors, 4, 'all of them');
foreach (
	[ 'zone=z2' => 2 ], [ 'section=north' => 2 ],
	[ 'machine=m3&zone=z2' => 1 ], [ 'machine=m3&zone=z1' => 0 ],
	[ 'section=%25' => 0 ], [ 'section=' . escaped('@south') => 1 ])
{
	my ($query, $count) = @$_;

	is(scalar @{ json("/api/sensors?$query")->{sensors} }, $count,
		"sensors: $query");
}

# Readings of a sensor: from the begin of the span, up to its end
my $answer = json(series(sensor => 'temp-001', pipeline => 'hall'));
is_deeply($answer->{points}, [
		point('00:00:02.9995', 2, 15, 10, 20, 'warning', 0, 0),
		point('00:00:06', 1, 30, 30, 30, 'normal', 0, 0),
		point('00:30:01', 3, 32, -5, 100, 'critical', 1, 1),
		point('00:59:59.999999', 1, 7, 7, 7, 'normal', 0, 0) ],
	'slices of a sixhundredth, those that have readings');

sub point
{
	my %point;

	@point{qw(at readings average minimum maximum level late low_quality)} = @_;
	$point{at} = "2025-03-02T$point{at}Z";
	return \%point;
}

is_deeply($answer->{limits}, [ {
			critical_low => -4, warning_low => undef, warning_high => undef,
			critical_high => 50, deadband => 0, unit => "\x{b0}C",
			expected_interval_seconds => undef,
			threshold_id => 0 + sql($node, 'SELECT threshold_id FROM '
				. "factorymon.threshold WHERE sensor_id = 'temp-001'") } ],
	'the limits of this very sensor');
is(scalar @{ $answer->{alarms} }, 200, 'the newest transitions');
is_deeply(columns([ @{ $answer->{alarms} }[ 0, 199 ] ],
		qw(at event level side value limit by comment pipeline)),
	rows(<<'QUERY'), 'within the span, newest first');
SELECT recorded_at AS at, transition AS event, 'critical' AS level,
	'high' AS side, value,
	limit_value AS limit, actor AS "by", comment, 'hall' AS pipeline
FROM _factorymon.transition WHERE comment IN ('number 359', 'number 160')
ORDER BY recorded_at DESC
QUERY
is_deeply(columns(json(series(sensor => 'temp-001', pipeline => 'hall',
				to => '2025-03-02T00:00:20Z', seconds => 60))->{alarms},
		qw(comment)), [ map { { comment => "number $_" } } 1, 0, -1, -2 ],
	'from its begin, and not at its end');
my %yard = (sensor => 'temp-001', pipeline => 'yard');
$answer = json(series(%yard));
is_deeply(columns($answer->{points}, qw(average)), [ { average => 77 } ],
	'of two sensors of one name each has its readings');
is_deeply($answer->{alarms}, [], 'and its alarms');
is_deeply(json(series(%yard, to => '2025-03-01T22:00:00-03:00'))->{points},
	$answer->{points}, 'times may have an offset');
foreach my $path (series(sensor => 'temp-001'),
	series(sensor => 'temp-001') =~ s/\?/.csv?/r)
{
	my $refused = $dashboard->get($path);

	is("$refused->{status} " . ($refused->{json}{code} // ''), '400 ambiguous',
		"$path: of which pipeline?");
	is($refused->{json}{detail}, 'parameter "pipeline" must be one of: hall,'
		  . ' yard', 'it says what would do');
}
is_deeply(columns(json(series(sensor => 'quiet', to => '2025-03-02T00:00:10Z'))
		->{limits}, qw(unit)), [ { unit => '%' } ],
	'one that only one pipeline has needs none');
is_deeply(json(series(sensor => $odd))->{points},
	json(series(sensor => $odd, pipeline => 'hall'))->{points},
	'and is the one of that');
$answer = json(series(sensor => $odd));
is_deeply([ map { 0 + $_ } split /\|/, sql($node, <<'QUERY') ],
SELECT count(*), min(value), max(value),
	count(DISTINCT width_bucket(extract(epoch FROM ts),
		extract(epoch FROM timestamptz '2025-03-02 00:00+00'),
		extract(epoch FROM timestamptz '2025-03-02 01:00+00'), 600))
FROM _factorymon.reading
WHERE sensor_id = 3 AND ts >= '2025-03-02 00:00+00'
	AND ts < '2025-03-02 01:00+00'
QUERY
	[ sum(map { $_->{readings} } @{ $answer->{points} }),
		(sort { $a <=> $b } map { $_->{minimum} } @{ $answer->{points} })[0],
		(sort { $b <=> $a } map { $_->{maximum} } @{ $answer->{points} })[0],
		scalar @{ $answer->{points} } ], 'of many readings nothing is lost');

sub sum { my $sum = 0; $sum += $_ foreach @_; return $sum }

is(scalar @{ $answer->{points} }, 600, 'in no more than 600 points');
is(scalar(grep { $_->{maximum} < $_->{average} || $_->{minimum} > $_->{average} }
		@{ $answer->{points} }), 0, 'averages are between least and most');
my @default = map { 0 + $_ } split /\|/, sql($node, <<'QUERY');
SELECT warning_high, critical_high FROM factorymon.default_thresholds()
WHERE sensor_type = 'pressure'
QUERY
is_deeply(columns($answer->{limits}, qw(warning_high critical_high
		  threshold_id)), [ { warning_high => $default[0],
			critical_high => $default[1], threshold_id => undef } ],
	'limits that are built in');
is_deeply(json($_), { %{ json($_) }, points => [], limits => [], alarms => [] },
	"nothing of $_")
  foreach series(sensor => 'nobody'), series(sensor => '%'), '/api/sensor-series',
  series(sensor => 'quiet', pipeline => 'yard');

# Rejects and key figures
my $rejects = json('/api/rejects');
my @columns = qw(rejected_at pipeline topic kafka_partition kafka_offset
  message_at reason sqlstate detail attempts beginning);
my $expected = rows(<<'QUERY');
SELECT r.rejected_at, p.name AS pipeline, s.topic, s.kafka_partition,
	r.kafka_offset::text AS kafka_offset, r.message_at, r.reason, r.sqlstate,
	r.detail, r.attempts, left(encode(r.value, 'escape'), 200) AS beginning
FROM _factorymon.reject r JOIN _factorymon.stream s USING (stream_id)
	JOIN _factorymon.pipeline p ON p.pipeline_id = r.pipeline_id
ORDER BY r.rejected_at DESC
QUERY
is_deeply($rejects->{rejects}, $expected, 'rejects, newest first');
is(scalar @$expected, 10, 'of which there are some');
ok(!$rejects->{truncated}, 'which is all');
my $few = json('/api/rejects?limit=3');
is_deeply($few->{rejects}, [ @$expected[ 0 .. 2 ] ], 'no more than asked for');
ok($few->{truncated}, 'and it says that there are more');
foreach my $limit (9 .. 11)
{
	is(!!json("/api/rejects?limit=$limit")->{truncated}, $limit < 10,
		"ten of $limit");
}
is(json("/api/$_->[0]?limit=1")->{truncated}, JSON::PP::true, "one of $_->[0]")
  foreach [ 'plant' ], [ 'sensors' ];
foreach my $hours (12, 24)
{
	my ($position) = grep { $_->{position} eq 'north' }
	  @{ json("/api/kpi?hours=$hours")->{positions} };

	is("$position->{position} $position->{announcements}",
		'north ' . sql($node, 'SELECT sum(low + medium + high) FROM '
			. '_factorymon.alarm_bin WHERE bin_at >= now() - '
			. "interval '$hours hours'"), "announcements of $hours hours");
	is($position->{seconds} <= $hours * 3600
		  && $position->{seconds} > $hours * 3600 - 1200, 1, 'whole bins');
}
is_deeply(json('/api/settings'), {
		version => (split / /, run_program([ FactorymonTest::repo_path(
						'dashboard/factorymon-dashboard'), '--version' ])
			->{stdout} =~ s/\n//r)[1],
		time_zone => 'America/Sao_Paulo' }, 'settings');

my @described = ((map { "/api/$_" } @lists), '/api/settings',
	series(sensor => $odd), series(sensor => 'temp-001', pipeline => 'hall'),
	series(sensor => 'temp-001'), series(sensor => 'nobody'), '/api/kpi?hours=8784');
is($dashboard->objections(@described), '', 'all is as described');

# Parameters
foreach (
	[ 'plant?limit=10001', 'from 1 to 10000' ],
	[ 'sensors?limit=0', 'from 1 to 10000' ],
	[ 'sensors?hall=x', 'there is no parameter "hall"' ],
	[ 'sensors?zone=%ff', 'is not UTF-8' ],
	[ 'sensors?zone=' . 'x' x 256, 'at most 255 bytes' ],
	[ 'sensor-series?seconds=59', 'from 60 to 31622400' ],
	[ 'sensor-series?seconds=31622401', 'from 60 to 31622400' ],
	[ 'kpi?hours=8785', 'from 1 to 8784' ],
	[ 'rejects.csv?limit=1001', 'from 1 to 1000' ],
	(map { [ "sensor-series?to=$_", 'must be a time such as' ] }
		'', 'now', 'infinity', 'epoch', 'x', '2025-03-02', '2025-02-29T00:00:00Z',
		'2025-13-01T00:00:00Z', '2025-03-02T24:00:00Z', '2025-03-02T00:60:00Z',
		'2025-03-02T00:00:00', '2025-03-02T00:00:00.Z', '2025-03-02T00:00Z',
		'2025-03-02T00:00:00Zx', '2025-03-02T00:00:00+03:00',
		'2025-03-02T00:00:00-3', '0000-01-01T00:00:00Z', '2025-03-02 00:00:00Z'))
{
	my ($path, $detail) = @$_;
	my $refused = $dashboard->get('/api/' . ($path =~ s/ /%20/gr));

	is("$refused->{status} $refused->{headers}{'content-type'}",
		'400 application/problem+json', "$path: refused");
	like($refused->{json}{detail} // '', qr/\Q$detail\E/, 'with the reason');
}
foreach my $time ('2024-02-29T23:59:60Z', '2025-03-02t00:00:00.123456789z',
	'2025-03-02T00:00:00%2B15:59', '0001-01-01T00:00:00Z',
	'9999-12-31T23:59:59-15:59')
{
	is($dashboard->get("/api/sensor-series?sensor=x&to=$time")->{status}, 200,
		"$time is a time");
}
is($dashboard->get('/api/sensor-series?sensor=' . escaped("'; DROP --"))
	->{status}, 200, 'a name is no SQL');

# CSV
my $csv = $dashboard->get('/api/rejects.csv');
is("$csv->{status} $csv->{headers}{'content-type'}",
	'200 text/csv; charset=utf-8', 'rejects as CSV');
is(scalar(() = $csv->{content} =~ /(?<!\r)\n/g), 0, 'lines end with CR LF');
like($csv->{content}, qr/\r\n\z/, 'the last one, too');
my ($names, $table) = table_of($csv->{content});
is_deeply($names, \@columns, 'a line of names');
is_deeply([ map { my %row = %$_; delete $row{beginning}; \%row } @$table ],
	[ map { my %row = map { $_ // '' } %$_; delete $row{beginning}; \%row }
			@$expected ], 'the same rows');
is_deeply({ map { $_->{attempts} => $_->{beginning} } @$table },
	{ 1 => q{'=HYPERLINK("x")}, 2 => '', 3 => '-1.5e3', 4 => q{'@x},
		5 => 'a "quoted", one', 6 => "two\r\nlines", 7 => "'\tx",
		8 => 'plain \303\274', 9 => 'x' x 200, 10 => q{'-1+2} },
	'formulas are none, numbers are left alone');
foreach my $limit (2, 9, 10, 11)
{
	my $path = "/api/rejects.csv?limit=$limit";
	my $got = $dashboard->get($path);
	my $said = $limit < 10 ? 'true' : 'false';

	is(scalar @{ (table_of($got->{content}))[1] }, $limit < 10 ? $limit : 10,
		"ten of $limit: no more than asked for");
	is($got->{headers}{'x-truncated'}, $said, 'and it says whether that is all');
	is($dashboard->get($path, method => 'HEAD')->{headers}{'x-truncated'}, $said,
		'also to who asks first');
	$got = $dashboard->get($path,
		headers => { 'If-None-Match' => $got->{headers}{etag} });
	is("$got->{status} $got->{headers}{'x-truncated'}", "304 $said",
		'or again');
}
is($dashboard->get($_)->{headers}{'x-truncated'}, undef,
	"$_ needs no such header") foreach '/api/rejects?limit=2', '/api/settings';
($names, $table) = table_of($dashboard->get('/api/sensors.csv')->{content});
is_deeply([ map { $_->{sensor_id} } @$table ],
	[ map { $_->{sensor_id} =~ /^=/ ? "'$_->{sensor_id}" : $_->{sensor_id} }
			@$sensors ], 'names as they are');
is_deeply([ sort map { $_->{factory_section} } @$table ],
	[ '', "'\@south", 'north', 'north' ], 'places are no formulas');
($names, $table) = table_of($dashboard->get(series(sensor => 'temp-001',
			pipeline => 'hall') =~ s/\?/.csv?/r)->{content});
is_deeply([ map { "$_->{at} $_->{minimum}" } @$table ],
	[ '2025-03-02T00:00:02.9995Z 10', '2025-03-02T00:00:06Z 30',
		'2025-03-02T00:30:01Z -5', '2025-03-02T00:59:59.999999Z 7' ],
	'times as elsewhere, and numbers below zero');
foreach my $list (@lists)
{
	my $got = $dashboard->get("/api/$list.csv");
	my $rows = json("/api/$list");
	my ($first) = grep { ref $rows->{$_} eq 'ARRAY' }
	  ($rows->{points} ? 'points' : (), $rows->{partitions}
		  && $rows->{activity} ? 'partitions' : (), $rows->{pipelines} ?
		  'pipelines' : (), sort keys %$rows);

	is($got->{status}, 200, "$list as CSV");
	is(scalar @{ (table_of($got->{content}))[1] }, scalar @{ $rows->{$first} },
		"with as many rows as $first");
}
is($dashboard->get("/api/$_.csv")->{status}, 404, "$_.csv: there is none")
  foreach qw(settings openapi.json nothing rejects.csv);
is_deeply([ sort @{ json('/api/openapi.json')->{paths}{'/api/{list}.csv'}{get}
			  {parameters}[0]{schema}{enum} } ], [ sort @lists ],
	'all these lists are described');

# What did not change, and what is only asked about
foreach my $path ('/api/rejects', '/api/rejects.csv', '/api/kpi?hours=1')
{
	my $first = $dashboard->get($path);
	my $known = { 'If-None-Match' => $first->{headers}{etag} };
	my $again = $dashboard->get($path, headers => $known);
	my $head = $dashboard->get($path, method => 'HEAD');

	like($first->{headers}{etag}, qr/^W\/"[0-9a-f]{16}"$/, "$path has a tag");
	is("$again->{status} $again->{content}", '304 ', 'and did not change');
	is("$head->{status} $head->{content}", '200 ', 'HEAD is brief');
	is($head->{headers}{'content-length'}, length $first->{content},
		'and knows the length');
	is($dashboard->get($path, method => 'POST')->{status}, 405,
		'nothing is changed by asking');
}
isnt($dashboard->get('/api/rejects')->{headers}{etag},
	$dashboard->get('/api/rejects.csv')->{headers}{etag}, 'tags differ');
my $tag = $dashboard->get('/api/rejects')->{headers}{etag};
sql($node, 'DELETE FROM _factorymon.reject WHERE attempts = 1');
ok(poll_while('another tag', sub {
		$dashboard->get('/api/rejects',
			headers => { 'If-None-Match' => $tag })->{status} == 200 }),
	'a tag is not for ever');

# The page and its files
my $page = $dashboard->get('/');
is("$page->{status} $page->{headers}{'content-type'}",
	'200 text/html; charset=utf-8', 'the page');
is($page->{headers}{'cache-control'}, 'no-cache', 'which may change');
foreach my $path ('/', '/api/openapi.json')
{
	my %tag = map {
		my $got = $dashboard->get($path, headers => { 'Accept-Encoding' => $_ });

		like($got->{headers}{etag} // '', qr/^"[0-9a-f]{16}"$/,
			"$path has a strong tag ($_)");
		$_ => $got->{headers}{etag} // 'none';
	} qw(identity gzip);

	is($tag{identity} ne $tag{gzip}, $path eq '/', 'one for each form');
	foreach (
		[ 'gzip', $tag{gzip}, 304 ],
		[ 'identity', $tag{identity}, 304 ],
		[ 'identity', qq{"x", W/$tag{identity} , "y"}, 304 ],
		[ 'gzip', '*', 304 ],
		[ 'identity', '"0123456789abcdef"', 200 ],
		[ 'identity', $tag{identity} =~ s/"$//r, 200 ],
		$path eq '/' ? [ 'gzip', $tag{identity}, 200 ] : ())
	{
		my ($form, $known, $status) = @$_;
		my $got = $dashboard->get($path, headers =>
			  { 'Accept-Encoding' => $form, 'If-None-Match' => $known });

		is($got->{status}, $status, "$form, with $known");
		is($got->{headers}{etag}, $tag{$form}, 'which has its tag');
		is($got->{headers}{'cache-control'}, 'no-cache', 'and is asked for anew');
		is($got->{content} // '', '', 'nothing comes') if $status == 304;
	}
}
my $policy = $page->{headers}{'content-security-policy'};
like($policy, qr/(?:^|; )\Q$_\E(?:;|$)/, "policy: $_")
  foreach q{default-src 'none'}, q{script-src 'self'}, q{style-src 'self'},
  q{frame-ancestors 'none'}, q{require-trusted-types-for 'script'};
unlike($page->{content}, qr/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i,
	'nothing in the page needs more than that');
my ($hash) = $page->{content} =~ m{"/assets/([0-9a-f]{16})/};
ok($hash, 'it names its files');
is(scalar(grep { $_ ne $hash } $page->{content} =~ m{/assets/([^/]*)/}g), 0,
	'all under one hash');
my $folder = FactorymonTest::repo_path('dashboard/page');
my %types = (js => 'text/javascript; charset=utf-8',
	css => 'text/css; charset=utf-8', svg => 'image/svg+xml',
	webmanifest => 'application/manifest+json');
foreach my $file (map { s{.*/}{}r } glob "$folder/*.{js,css,svg,webmanifest}")
{
	my $path = "/assets/$hash/$file";
	my $plain = $dashboard->get($path);
	my $packed = $dashboard->get($path,
		headers => { 'Accept-Encoding' => 'br, gzip' });
	my $content;

	is($plain->{content} eq slurp_file("$folder/$file"), 1, "$file as it is");
	is($plain->{headers}{'content-type'}, $types{ $file =~ s/.*\.//r },
		'of its type');
	is($plain->{headers}{'content-encoding'}, undef, 'not compressed');
	is($packed->{headers}{'content-encoding'}, 'gzip', 'or compressed');
	gunzip(\$packed->{content} => \$content);
	is($content eq $plain->{content}, 1, 'and the same');
	is("$plain->{headers}{vary} $plain->{headers}{'cache-control'}",
		'Accept-Encoding public, max-age=31536000, immutable', 'for ever');
}
my %imports = map { $_ => 1 } map { slurp_file($_) =~ /^import .*?"\.\/(.*?)"/mgs }
  glob "$folder/*.js";
is_deeply([ grep { $dashboard->get("/assets/$hash/$_")->{status} != 200 }
		sort(keys %imports), 'uplot.css' ], [], 'all that they ask for is there');
is($dashboard->get("/assets/$hash/app.js", method => 'HEAD')->{status}, 200,
	'HEAD of a file');
is($dashboard->get($_)->{status}, 404, "$_: not found")
  foreach '/assets/0123456789abcdef/app.js', "/assets/$hash/", "/assets/$hash",
  "/assets/$hash/nothing.js", "/assets/$hash/../app.js", "/assets/$hash/build",
  "/assets/$hash/app.js.gz", '/index.html', '/page/app.js';

# The order of alarms: what waits for somebody, what is still so, the level, how
# severe it is, the newest
sql($node, <<'QUERY');
INSERT INTO _factorymon.alarm (stream_id, sensor_id, condition, seq, state,
	level, since, announced_at, severity, re_alarms, event_id, shelving, blocks,
	chattering, as_of, record)
SELECT 9041, 3, condition, 1, state, level, since, since, severity, 0,
	gen_random_uuid(), CASE WHEN condition = 'sequence' THEN 'timed' ELSE 'none'
	END, 0, false, 1, ''
FROM (VALUES ('rate', 'active_unacknowledged', 1, 100, 5),
	('flat', 'active_unacknowledged', 1, 950, 1),
	('time', 'active_unacknowledged', 1, 100, 6),
	('anomaly', 'returned_unacknowledged', 0, 999, 9),
	('seasonal', 'active_acknowledged', 2, 999, 9),
	('sequence', 'active_unacknowledged', 2, 999, 9))
	AS a(condition, state, level, severity, minutes)
CROSS JOIN LATERAL (SELECT timestamptz '2025-03-02 00:00+00'
	+ minutes * interval '1 min' AS since) AS t;
QUERY
is_deeply([ map { $_->{condition} } @{ json('/api/alarms')->{alarms} } ],
	[qw(limit flat time rate anomaly seasonal sequence)],
	'alarms: unacknowledged, active, by level, by severity, the newest first');

# Without a database
$node->stop('immediate');
foreach my $path (map { ("/api/$_", "/api/$_.csv") }
	grep { $_ ne 'system-status' } @lists)
{
	my $later;

	poll_while($path, sub {
			$later = $dashboard->get($path); $later->{status} == 503 });
	is("$later->{status} $later->{headers}{'content-type'} "
		  . ($later->{headers}{'retry-after'} // ''),
		'503 application/problem+json 2', "$path: later");
}
is($dashboard->get('/api/system-status.csv')->{status}, 503,
	'a state that is not known is no table');
is($dashboard->objections(@described), '', 'all that is as described, too');
is($dashboard->get('/api/settings')->{status}, 200, 'settings are known');
is($dashboard->get('/')->{status}, 200, 'the page is there');
is($dashboard->stop->{rc}, 0, 'it ends');

# The time zone
my $program = FactorymonTest::repo_path('dashboard/factorymon-dashboard');
foreach my $zone ('Etc/GMT+3', 'UTC', 'America/Argentina/Buenos_Aires', '')
{
	my $other = start_dashboard($node, args => [ '--time-zone', $zone ]);

	is($other->get('/api/settings')->{json}{time_zone}, $zone,
		"time zone \"$zone\"");
	$other->stop;
}
my $other = start_dashboard($node,
	env => { MONITORING_TIME_ZONE => 'Asia/Kathmandu' });
is($other->get('/api/settings')->{json}{time_zone}, 'Asia/Kathmandu',
	'a time zone from the environment');
$other->stop;
foreach my $zone ('America/S"o', 'a b', "UTC\n", '<script>', '../etc/passwd')
{
	my $refused = run_program([ $program, '--time-zone', $zone ]);

	is($refused->{rc}, 2, 'a time zone that is none');
	like($refused->{stderr}, qr/invalid value for --time-zone: "\Q$zone\E"/,
		'is named');
}

done_testing();
