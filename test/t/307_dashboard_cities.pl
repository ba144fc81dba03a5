# Cities as the dashboard gives them, against a state that is made in the base
# tables: averages now, who is worst, minutes; and lists as workbooks, as
# python3-openpyxl reads them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonTest;
use IPC::Run ();
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node();

# Two pipelines that no worker serves, one of them of cities.
sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, retention, partition_interval, owner)
SELECT id, name, 'nowhere', 'topic', name, 'city', 2, 'earliest', 'stop',
	'7 days', '1 hour', '30 days', '1 day', 'somebody'
FROM (VALUES (904, 'weather'), (905, 'hall')) AS p(id, name);
INSERT INTO _factorymon.stream (stream_id, pipeline_id, topic,
	kafka_partition, incarnation)
VALUES (9040, 904, 'topic', 0, 1), (9050, 905, 'topic', 0, 1);
INSERT INTO _factorymon.rollup_stream
	SELECT s, '2025-01-01' FROM (VALUES (9040), (9050)) AS v(s)
	ON CONFLICT (stream_id) DO UPDATE SET pending_from = '2025-01-01';
INSERT INTO _factorymon.rollup_progress
	SELECT p, 'UTC', '2025-01-01', '2025-01-01', '2025-01-01'
	FROM (VALUES (904), (905)) AS v(p) ON CONFLICT DO NOTHING;
CREATE TABLE _factorymon.reading_904 PARTITION OF _factorymon.reading
	FOR VALUES IN (904);
CREATE TABLE _factorymon.reading_905 PARTITION OF _factorymon.reading
	FOR VALUES IN (905);
QUERY
my $dashboard = start_dashboard($node, role => 'watcher');

sub json { my ($path) = @_; return $dashboard->get($path)->{json} }

# Cells of a workbook as Python reads them: a line of names, and rows.
sub book_of
{
	my ($content) = @_;
	my ($out, $err);

	IPC::Run::run([ 'python3', '-c', <<'PROGRAM' ],
import datetime, io, json, sys
import openpyxl
book = openpyxl.load_workbook(io.BytesIO(sys.stdin.buffer.read()))
def plain(cell):
    value = cell.value
    if isinstance(value, datetime.datetime):
        value = value.isoformat(timespec="milliseconds") + "Z"
    return [cell.data_type, value]
json.dump([book.sheetnames, [[plain(c) for c in row]
                             for row in book.active.iter_rows()]], sys.stdout)
PROGRAM
		'<', \$content, '>', \$out, '2>', \$err, IPC::Run::timeout(60))
	  or die "python3: $err";
	return @{ decode_json($out) };
}

# Nothing yet: no city, and a workbook of names.
my $nothing = json('/api/cities');
is_deeply([ @$nothing{qw(cities minutes)} ], [ [], [] ], 'no city, no minute');
my ($sheets, $cells) = book_of($dashboard->get('/api/cities.xlsx')->{content});
is_deeply($sheets, ['cities'], 'a workbook of nothing has its sheet');
is(scalar @$cells, 1, 'and the line of names');

# Four cities: critical by what was reported, warning by our own limits, well
# with an odd name, and one that is not heard of; a machine that is no city.
sql($node, <<'QUERY');
INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
SELECT n, CASE WHEN n = 9 THEN 905 ELSE 904 END, 's' || n
FROM generate_series(1, 9) AS n;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT n, n, CASE WHEN n % 2 = 1 THEN 'temperature' ELSE 'humidity' END,
	'', '', (ARRAY['São Paulo', 'Recife', '=1+1', 'Natal'])[(n + 1) / 2],
	CASE WHEN n % 2 = 1 THEN '°C' ELSE '%RH' END
FROM generate_series(1, 8) AS n
UNION ALL SELECT 9, 9, 'temperature', 'north', 'm1', 'Oven', '°C';
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT date_trunc('minute', now()) - age * interval '1 minute'
		+ s * interval '1 second', age * 10 + s,
	CASE WHEN s = 9 THEN 900 ELSE 20 + s + age / 8.0 END, s,
	CASE WHEN s = 9 THEN 9050 ELSE 9040 END, s,
	CASE WHEN s = 9 THEN 905 ELSE 904 END, 0,
	CASE s WHEN 1 THEN 48 WHEN 3 THEN 16 + 9 ELSE 16 END, 0
FROM generate_series(1, 9) AS s, generate_series(0, 70) AS age
WHERE s NOT IN (7, 8) OR age > 20;
QUERY
# What was asked within the last second is still answered as it was.
my $answer;
ok( poll_while('cities', sub {
			$answer = json('/api/cities');
			scalar @{ $answer->{cities} } }), 'cities come');
is_deeply([ map { "$_->{rank} $_->{city} $_->{status} "
			  . ($_->{reported_status} // '-') } @{ $answer->{cities} } ],
	[ "1 S\xe3o Paulo critical critical", '2 Recife warning normal',
		'3 Natal unknown -', '4 =1+1 normal normal' ],
	'the most critical first, unknown before normal');
my $now = sql($node, <<'QUERY');
SELECT v.zone, max(r.value) FILTER (WHERE v.sensor_type = 'temperature'),
	max(r.value) FILTER (WHERE v.sensor_type = 'humidity')
FROM _factorymon.sensor_version v JOIN LATERAL (
		SELECT x.value FROM _factorymon.reading x
		WHERE x.sensor_id = v.sensor_id ORDER BY x.ts DESC LIMIT 1) r ON true
WHERE v.zone IN ('São Paulo', 'Recife', '=1+1') GROUP BY 1 ORDER BY 1
QUERY
utf8::decode($now);
is_deeply([ sort map { join '|', @$_{qw(city temperature humidity)} }
		  grep { $_->{status} ne 'unknown' } @{ $answer->{cities} } ],
	[ sort split /\n/, $now ], 'with the values of the tables');
my ($natal) = grep { $_->{city} eq 'Natal' } @{ $answer->{cities} };
is_deeply([ @$natal{qw(temperature humidity sensors sensors_missing)} ],
	[ undef, undef, 0, 2 ], 'who is silent has no value');
cmp_ok($natal->{age_seconds}, '>', 1200, 'and an age');

# Minutes against rows.
my $minutes = sql($node, <<'QUERY');
SELECT count(*), count(DISTINCT v.zone), round(sum(r.value)::numeric, 6)
FROM _factorymon.reading r JOIN _factorymon.sensor_version v
	USING (sensor_version_id)
WHERE v.sensor_type = 'temperature' AND v.machine_id = ''
	AND r.ts >= date_trunc('minute', now()) - interval '1 hour'
QUERY
my ($sum, %city) = (0);
foreach my $row (@{ $answer->{minutes} })
{
	$sum += $row->{temperature};
	$city{ $row->{city} }++;
}
is(sprintf('%d|%d|%.6f', scalar @{ $answer->{minutes} }, scalar keys %city,
		$sum), $minutes, 'an average for each city and minute of the hour');
is_deeply([ grep { /Oven/ } keys %city ], [], 'a machine is no city');
is(scalar @{ json('/api/cities?limit=2')->{minutes} },
	$city{"S\xe3o Paulo"} + $city{Recife}, 'those of the cities that are shown');

# The same as a workbook.
my $type = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';
foreach my $limit (2, 4)
{
	my $path = "/api/cities.xlsx?limit=$limit";
	my $got = $dashboard->get($path);
	my $said = $limit < 4 ? 'true' : 'false';

	is("$got->{status} $got->{headers}{'content-type'}", "200 $type",
		"$limit cities as a workbook");
	is($got->{headers}{'content-disposition'},
		'attachment; filename="cities.xlsx"', 'with a name');
	is($got->{headers}{'x-truncated'}, $said, 'and whether that is all');
	is($dashboard->get($path, method => 'HEAD')->{headers}{'x-truncated'},
		$said, 'also to who asks first');
	($sheets, $cells) = book_of($got->{content});
	is(scalar @$cells, $limit + 1, 'no more rows than asked for');
}
my @names = map { $_->[1] } @{ shift @$cells };
my @rows = map { my $row = $_; +{ map { ($names[$_] => $row->[$_]) } 0 .. $#names } } @$cells;
is_deeply([ map { [ map { $_->[1] } @$_{qw(rank city status temperature)} ] } @rows ],
	[ map { [ @$_{qw(rank city status temperature)} ] }
		  @{ $answer->{cities} } ], 'the same values');
is_deeply($rows[3]{city}, [ 's', '=1+1' ], 'a text is no formula');
is($rows[0]{temperature}[0], 'n', 'a number is one');
is($rows[0]{last_reading_at}[0], 'd', 'a time is one');
is($rows[0]{last_reading_at}[1],
	$answer->{cities}[0]{last_reading_at} =~ s/Z$/.000Z/r, 'in UTC');

# Every list, and what is none.
my @lists = sort @{ json('/api/openapi.json')->{paths}{'/api/{list}.xlsx'}{get}
		  {parameters}[0]{schema}{enum} };
cmp_ok(scalar @lists, '>', 12, 'lists are described');
foreach my $list (@lists)
{
	my $csv = $dashboard->get("/api/$list.csv");
	my $book = $dashboard->get("/api/$list.xlsx");

	is("$book->{status} $book->{headers}{'x-truncated'}",
		"$csv->{status} $csv->{headers}{'x-truncated'}", "$list as a workbook");
	(undef, $cells) = book_of($book->{content});
	is(join(',', map { $_->[1] } @{ $cells->[0] }),
		$csv->{content} =~ s/\r\n.*//sr, 'of the same columns');
}
is($dashboard->get("/api/$_")->{status}, 404, "$_: there is none")
  foreach qw(nothing.xlsx settings.xlsx cities.xlsx.csv .xlsx cities.xls);
is($dashboard->get('/api/cities.xlsx?limit=1001')->{status}, 400,
	'a limit has bounds');
is($dashboard->objections('/api/cities', '/api/cities?limit=1'), '',
	'all is as described');
is($dashboard->stop->{rc}, 0, 'the dashboard ends');

# Where nothing can be written there is no workbook, and the rest works.
{
	local $ENV{TMPDIR} = '/nonexistent/folder';
	$dashboard = start_dashboard($node, role => 'watcher');
}
my $refused = $dashboard->get('/api/cities.xlsx');
is("$refused->{status} $refused->{json}{code}", '500 query_failed',
	'no folder for temporary files: an error');
unlike($refused->{content}, qr/nonexistent/, 'which does not tell its name');
is($dashboard->get('/api/cities.csv')->{status}, 200, 'CSV needs none');
$node->stop('fast');
is($dashboard->get('/api/plant.xlsx')->{status}, 503, 'no database, no workbook');
is($dashboard->stop->{rc}, 0, 'the dashboard ends');
done_testing();
