# Apache Superset with the dashboard of docker/superset: a server is set up the
# way its image does it, provisioned twice, and asked over REST as a user would
# ask for what each chart shows; that is compared with queries over the base
# tables.
# Then a browser looks at the dashboard.
#
# Takes two minutes, and four the first time (830 MB from PyPI): only with
# FACTORYMON_LONG=1.  FACTORYMON_SCREENSHOTS=DIR keeps the picture.

use strict;
use warnings;

use Encode qw(encode_utf8);
use File::Copy qw(copy);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonTest;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'takes minutes (FACTORYMON_LONG=1)'
  unless $ENV{FACTORYMON_LONG};

my $fetched = run_program([ repo_path('test/superset-venv') ], timeout => 1200);
plan skip_all => "Superset cannot be had: $fetched->{stderr}"
  if $fetched->{rc} ne '0';
chomp(my $venv = $fetched->{stdout});

my $http = HTTP::Tiny->new(timeout => 120);
my $password = 'a secret/with:all@of?it%';
my $home = PostgreSQL::Test::Utils::tempdir();
my $listener = IO::Socket::INET->new(
	Listen => 1,
	LocalAddr => '127.0.0.1') or die "listen: $!\n";
my $url = 'http://127.0.0.1:' . $listener->sockport;
close $listener;

my $superset = FactorymonTest::Process->start(
	[ repo_path('docker/superset/entrypoint') ],
	name => 'superset',
	grace => 20,
	env => {
		PATH => "$venv/bin:$ENV{PATH}",
		SUPERSET_HOME => $home,
		SUPERSET_SECRET_KEY => join('', map { sprintf '%x', rand 16 } 1 .. 42),
		SUPERSET_ADMIN_PASSWORD => $password,
		SUPERSET_BIND => $url =~ s{http://}{}r
	});

# A plant and some cities, meanwhile.  Superset speaks TCP, and is asked for its password.
my $broker = start_broker(topics => [ 'sensor-data:3', 'cities:1' ]);
my $node = new_node(conf => "listen_addresses = '127.0.0.1'");
unlink $node->data_dir . '/pg_hba.conf';
append_to_file($node->data_dir . '/pg_hba.conf',
	"local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
$node->reload;
create_pipeline($node, $broker, workers => 2, options => quick_options(),
	alert_topic => '');
create_pipeline($node, $broker, topic => 'cities', name => 'weather',
	format => 'city', consumer_group => 'weather', alert_topic => '');
sql($node, <<"QUERY");
CREATE ROLE watcher LOGIN PASSWORD '$password';
SELECT factorymon.grant_access('reader', 'watcher');
QUERY

my %environment = (
	SUPERSET_URL => $url,
	SUPERSET_ADMIN_PASSWORD => $password,
	SUPERSET_WAIT => 300,
	FACTORYMON_DB_HOST => '127.0.0.1',
	FACTORYMON_DB_PORT => $node->port,
	FACTORYMON_DB_USER => 'watcher',
	FACTORYMON_DB_PASSWORD => $password);

# provision(%changes): the exit code, and what it said
sub provision
{
	my (%changes) = @_;
	my $result = run_program([ 'python3', repo_path('docker/superset/provision') ],
		env => { %environment, %changes }, timeout => 400);

	return ($result->{rc}, $result->{stdout} . $result->{stderr});
}

sub refuses
{
	my ($name, $code, $reason, %changes) = @_;
	my ($rc, $said) = provision(%changes);

	is($rc, $code, "$name: exit code $code");
	like($said, $reason, "$name: it says why");
	unlike($said, qr/\Q$password\E|a%20secret/, "$name: and no password");
	return;
}

# The mistakes that need nothing but the script.
refuses('no password', 2, qr/FACTORYMON_DB_PASSWORD is not set/,
	FACTORYMON_DB_PASSWORD => '');
refuses('a port that is none', 2, qr/FACTORYMON_DB_PORT: 'x'/,
	FACTORYMON_DB_PORT => 'x');
refuses('nobody there', 3, qr/is not up after 1 s/,
	SUPERSET_URL => 'http://127.0.0.1:1', SUPERSET_WAIT => 1);

ok(FactorymonTest::poll_while('Superset',
		sub {
			!$superset->running || $http->get("$url/health")->{success};
		}, 400) && $superset->running, 'Superset is up')
  or BAIL_OUT(substr $superset->stdout . $superset->stderr, -3000);

refuses('a wrong login', 4, qr/admin cannot log in/,
	SUPERSET_ADMIN_PASSWORD => 'wrong');
refuses('a wrong password of the database', 5, qr/Superset cannot use .*watcher/,
	FACTORYMON_DB_PASSWORD => 'wrong');

# The last hour, until now.
my $start = '@' . (time() - 3620);
is(run_producer(kafka => $broker, sensors => 25, count => 19500, seed => 11,
		start => $start, heartbeat => 0, rate => 0)->{rc}, 0,
	'an hour of readings');
is(run_producer(kafka => $broker, format => 'city', topic => 'cities',
		sensors => 6, count => 4344, seed => 11, start => $start,
		heartbeat => 0, rate => 0)->{rc}, 0, 'and of six cities');
ok(caught_up($node, 19500 + 4344), 'arrive');
ok(poll_until($node, 'SELECT sum(pending) FROM factorymon.publisher_health', 0),
	'and what it says of alarms is counted');

my ($rc, $said) = provision();
is($rc, 0, 'it provisions') or diag $said;
($rc, $said) = provision();
is($rc, 0, 'and again');
like($said, qr/^provision: 0 changes$/m, 'which changes nothing') or diag $said;

# ask($method, $path [, $body])
my %headers = (Referer => $url);

sub ask
{
	my ($method, $path, $body) = @_;
	my $answer = $http->request($method, "$url/api/v1/$path",
		{
			headers =>
			  { %headers, $body ? ('Content-Type' => 'application/json') : () },
			$body ? (content => encode_json($body)) : ()
		});

	die "$method $path: $answer->{status} $answer->{content}\n"
	  unless $answer->{success};
	# the cookie that the token against forged requests goes with
	$headers{Cookie} = $1
	  if ($answer->{headers}{'set-cookie'} // '') =~ /^(session=[^;]+)/;
	return decode_json($answer->{content});
}

$headers{Authorization} = 'Bearer ' . ask('POST', 'security/login',
	{ username => 'admin', password => $password, provider => 'db' })
  ->{access_token};
$headers{'X-CSRFToken'} = ask('GET', 'security/csrf_token/')->{result};
my %chart = map { $_->{slice_name} => $_->{id} }
  @{ ask('GET', 'dashboard/factorymon/charts')->{result} };
my $dashboard = ask('GET', 'dashboard/factorymon')->{result};

is(scalar keys %chart, 14, 'the dashboard has fourteen charts');
is(decode_json($dashboard->{json_metadata})->{refresh_frequency}, 60,
	'and shows them anew every minute');

# What was changed or deleted is put back.
ask('PUT', "chart/$chart{'Zones now'}", { params => '{}' });
ask('DELETE', "chart/$chart{'Humidity now'}");
($rc, $said) = provision();
is($rc, 0, 'it mends') or diag $said;
is(join(' / ', sort $said =~ /^provision: (\w+ \w+ (?:Zones|Humidity) now)/mg),
	'changed chart Zones now / made chart Humidity now / '
	  . 'put chart Humidity now', 'what is not as it should be');
like(($said = (provision())[1]), qr/^provision: 0 changes$/m, 'once')
  or diag $said;
%chart = map { $_->{slice_name} => $_->{id} }
  @{ ask('GET', 'dashboard/factorymon/charts')->{result} };

# Datasets: types, comments.
foreach my $view (qw(plant_now zone_now machine_status zone_minutes alarm_hours
	city_now city_minutes))
{
	my ($row) = grep { $_->{table_name} eq $view }
	  @{ ask('GET', 'dataset/')->{result} };
	my $dataset = ask('GET', "dataset/$row->{id}")->{result};

	is(join(' ', map { $_->{column_name} }
			grep { !length($_->{description} // '') || !length($_->{type} // '') }
			@{ $dataset->{columns} }), '',
		"$view: every column has a type and a description");
	is($dataset->{description}, sql($node,
			"SELECT obj_description('factorymon.$view'::regclass)"),
		"$view: so has the dataset");
	is(join(' ', sort map { $_->{column_name} }
			grep { $_->{is_dttm} } @{ $dataset->{columns} }),
		sql($node, <<"QUERY"), "$view: times are times");
SELECT coalesce(string_agg(attname, ' ' ORDER BY attname), '') FROM pg_attribute
WHERE attrelid = 'factorymon.$view'::regclass AND atttypid = 'timestamptz'::regtype
QUERY
}

# rows($chart): what it shows
sub rows
{
	my ($name) = @_;
	my $result = ask('GET', "chart/$chart{$name}/data/?force=true")->{result}[0];

	is($result->{error}, undef, "$name: no error");
	return @{ $result->{data} };
}

# figures_are($name, \%texts, $query): numbers by key; the query gives key|number
sub figures_are
{
	my ($name, $texts, $query) = @_;
	my $got = { map { (encode_utf8($_) => $texts->{$_}) } keys %$texts };
	my %want = map { /^(.*)\|(.*)$/ } split /\n/, sql($node, $query);
	my @wrong = grep {
		!defined $got->{$_}
		  || abs($got->{$_} - $want{$_}) > 1e-9 * (1 + abs $want{$_})
	} keys %want;

	cmp_ok(scalar keys %want, '>', 0, "$name: there are figures");
	is(join(' ', sort keys %$got), join(' ', sort keys %want), "$name: rows");
	is(join(' ', map { "$_: " . ($got->{$_} // 'none') . " not $want{$_}" }
			sort @wrong), '', "$name: figures");
	return;
}

my $newest = <<'QUERY';
WITH newest AS (
	SELECT DISTINCT ON (r.sensor_id) r.ts, r.value, p.format, v.*
	FROM _factorymon.reading r JOIN _factorymon.sensor_version v
			USING (sensor_version_id)
		JOIN _factorymon.pipeline p ON p.pipeline_id = r.pipeline_id
	WHERE r.flags & 16 = 0
	ORDER BY r.sensor_id, r.ts DESC, r.kafka_offset DESC)
QUERY

foreach ([ 'Temperature now', 'temperature' ], [ 'Humidity now', 'humidity' ])
{
	my ($name, $type) = @$_;
	my ($row) = rows($name);

	figures_are($name, { now => $row->{"average $type"} }, <<"QUERY");
$newest SELECT 'now', avg(value) FROM newest
WHERE sensor_type = '$type' AND ts > now() - interval '5 min' AND format <> 'city'
QUERY
}
figures_are('Zones now', {
		map { ("$_->{factory_section} $_->{zone} $_->{sensor_type}" =>
			$_->{avg_value}) } rows('Zones now') }, <<"QUERY");
$newest SELECT concat_ws(' ', factory_section, zone, sensor_type), avg(value) FROM newest
WHERE sensor_type IN ('temperature', 'humidity')
	AND ts > now() - interval '5 min' AND format <> 'city'
GROUP BY factory_section, zone, sensor_type
QUERY

# Machines, by what the alarms' own rows say.
my $machines = <<"QUERY";
$newest, machine AS (
	SELECT machine_id, zone, format, max(a.level & 3) AS level,
		count(*) FILTER (WHERE a.state LIKE '%unacknowledged') AS waiting,
		count(*) FILTER (WHERE a.level & 3 = 2) AS critical
	FROM newest LEFT JOIN _factorymon.alarm a USING (sensor_id)
	GROUP BY machine_id, zone, format)
QUERY
my @machines = rows('Machines by criticality');
figures_are('Machines by criticality',
	{ map { ("$_->{machine_id} $_->{zone} $_->{level}" =>
				$_->{alarms_unacknowledged}) } @machines }, <<"QUERY");
$machines SELECT concat_ws(' ', machine_id, zone,
	(ARRAY['normal', 'warning', 'critical'])[coalesce(level, 0) + 1]), waiting
FROM machine WHERE format <> 'city'
QUERY
my %order = (critical => 0, warning => 1, normal => 2);
is(join(' ', map { $_->{level} } @machines),
	join(' ', map { $_->{level} }
		sort { $order{ $a->{level} } <=> $order{ $b->{level} } } @machines),
	'the critical ones come first');
is($machines[0]{level}, 'critical', 'there are some');
figures_are('Machines critical',
	{ all => (rows('Machines critical'))[0]{'critical machines'} },
	"$machines SELECT 'all', count(*) FROM machine "
	  . "WHERE level = 2 AND format <> 'city'");
figures_are('Alarms unacknowledged',
	{ all => (rows('Alarms unacknowledged'))[0]{'unacknowledged alarms'} },
	"$machines SELECT 'all', sum(waiting) FROM machine");

# Lines: each minute between the first one and the last one shown.
foreach ([ 'Temperature by zone', 'temperature', 'zone' ],
	[ 'Humidity by zone', 'humidity', 'zone' ],
	[ 'Cities: temperature by minute', 'temperature', 'city' ],
	[ 'Cities: humidity by minute', 'humidity', 'city' ])
{
	my ($name, $type, $place) = @$_;
	my @rows = rows($name);
	my ($from, $to) =
	  (sort { $a <=> $b } map { $_->{minute_at} } @rows)[ 0, -1 ];
	my $whose = $place eq 'city' ? '=' : '<>';

	figures_are($name, {
			map { (join(' ', $_->{minute_at}, $_->{factory_section} // '',
					$_->{$place}) => $_->{average}) } @rows }, <<"QUERY");
SELECT concat_ws(' ', 60000 * floor(extract(epoch FROM ts) / 60)::bigint,
	factory_section, zone), avg(value)
FROM _factorymon.reading JOIN _factorymon.sensor_version USING (sensor_version_id)
	JOIN _factorymon.pipeline USING (pipeline_id)
WHERE sensor_type = '$type' AND format $whose 'city'
	AND ts >= to_timestamp($from / 1000) AND ts < to_timestamp($to / 1000 + 60)
GROUP BY 60000 * floor(extract(epoch FROM ts) / 60)::bigint, factory_section, zone
QUERY
	cmp_ok($to - $from, '>=', 50 * 60000, "$name: most of an hour");
	cmp_ok($to / 1000, '>', time() - 600, "$name: until now");
}

# Cities, by the status that came with their newest readings, too.
my $cities = <<"QUERY";
$newest, city AS (
	SELECT zone, max(greatest(r.level & 3, (r.level >> 4 & 7) - 1)) AS level,
		avg(newest.value) FILTER (WHERE sensor_type = 'temperature') AS temperature,
		avg(newest.value) FILTER (WHERE sensor_type = 'humidity') AS humidity
	FROM newest JOIN _factorymon.reading r USING (sensor_id, ts)
	WHERE format = 'city'
	GROUP BY zone)
QUERY
foreach my $type (qw(temperature humidity))
{
	my ($row) = rows("Cities: $type now");

	figures_are("Cities: $type now", { now => $row->{"city $type"} },
		"$cities SELECT 'now', avg($type) FROM city");
}
my @cities = rows('Cities by criticality');
figures_are('Cities by criticality',
	{ map { ("$_->{city} $_->{status}" => $_->{temperature}) } @cities },
	<<"QUERY");
$cities SELECT zone || ' ' || (ARRAY['normal', 'warning', 'critical'])[level + 1],
	temperature FROM city
QUERY
is(scalar @cities, 6, 'six cities');
is(join(' ', map { $_->{status} } @cities),
	join(' ', map { $_->{status} }
		sort { $order{ $a->{status} } <=> $order{ $b->{status} } } @cities),
	'the critical ones first');
figures_are('Alarms per hour', {
		map { ("$_->{hour_at} $_->{severity_class}" => $_->{alarms}) }
		  rows('Alarms per hour') }, <<'QUERY');
SELECT 3600000 * floor(extract(epoch FROM bin_at) / 3600)::bigint || ' ' || class,
	sum(n)
FROM _factorymon.alarm_bin,
	unnest(ARRAY['low', 'medium', 'high'], ARRAY[low, medium, high]) AS c(class, n)
GROUP BY 3600000 * floor(extract(epoch FROM bin_at) / 3600)::bigint, class
QUERY

# People see it in a browser.
SKIP:
{
	my $modules = run_program([ repo_path('test/browser/modules') ],
		timeout => 300);
	my $chromium = $ENV{CHROMIUM} || '/usr/bin/chromium';

	skip 'there is no chromium', 1 unless -x $chromium;
	skip "playwright-core cannot be had: $modules->{stderr}", 1
	  if $modules->{rc} ne '0';
	chomp(my $path = $modules->{stdout});
	my $picture = "$home/superset.png";
	my $result = run_program([ 'node', repo_path('test/browser/superset.js'),
			$url, 'admin', $password, 'factorymon', 14, $picture ],
		env => { NODE_PATH => $path, CHROMIUM => $chromium }, timeout => 300);

	is($result->{rc}, 0, 'a browser shows it') or diag $result->{stderr};
	my $seen = decode_json($result->{stdout});
	my %answers = %{ $seen->{answers} };

	is(join(' ', sort keys %answers), join(' ', sort values %chart),
		'every chart asks for its data');
	is(join(' ', map { $_->{status} } grep { $_->{status} != 200 } values %answers),
		'', 'and gets them');
	unlike($seen->{text}, qr/\berror\b/i, 'no error is shown');
	like($seen->{text}, qr/^$_$/m, "there is $_") foreach sort keys %chart;
	like($seen->{machines}[0]{text}, qr/critical/,
		'the first machine is a critical one');
	is($seen->{machines}[0]{color}, 'rgb(242, 165, 165)', 'in red');
	is(join(' ', map { $_->{text} }
			grep { $_->{text} =~ /normal/ && $_->{color} eq 'rgb(242, 165, 165)' }
			@{ $seen->{machines} }), '', 'and no normal one is');
	cmp_ok(-s $picture, '>', 20000, 'the picture is one');
	like(($said = (provision())[1]), qr/^provision: 0 changes$/m,
		'looking at it has changed nothing') or diag $said;
	copy($picture, "$ENV{FACTORYMON_SCREENSHOTS}/superset.png")
	  or die "$ENV{FACTORYMON_SCREENSHOTS}: $!\n"
	  if $ENV{FACTORYMON_SCREENSHOTS};
}

is($superset->stop(30)->{rc}, 0, 'Superset stops');
done_testing();
