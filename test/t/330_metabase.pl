# What docker/metabase/provision makes of a Metabase: everything, nothing when
# there is nothing to do, and again what somebody spoiled; cards that answer
# with what the base tables hold; and what it says when something is not there.
#
# Metabase itself cannot be had from a package registry: test/metabase/stand-in
# stands for it, which lets nothing pass that the published API does not have.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonPlant;
use FactorymonTest;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my $admin_password = 'adm1n $ecret';
my $http = HTTP::Tiny->new(timeout => 60);
my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_plant($broker);

# A stand-in: its address.
my $stand_ins = 0;

sub start_stand_in
{
	my (@options) = @_;
	my $file = "$folder/port" . ++$stand_ins;
	my $port;

	FactorymonTest::Process->start(
		[ FactorymonTest::repo_path('test/metabase/stand-in'), '--port-file',
			$file, @options ],
		name => 'stand-in');
	poll_while('the stand-in', sub { ($port) = lines_of($file) })
	  or BAIL_OUT('the stand-in did not start');
	return "http://127.0.0.1:$port";
}

my $metabase = start_stand_in('--initializing', 2);

# Run it: exit code and all that it said; no secret is in that.
sub provision
{
	my ($name, $env, @arguments) = @_;
	my $result = run_program(
		[ FactorymonTest::repo_path('docker/metabase/provision'), @arguments ],
		env => {
			%{ bi_environment($node) },
			METABASE_URL => $metabase,
			METABASE_PUBLIC_URL => 'http://plant.example:3000/',
			METABASE_WAIT => 30,
			METABASE_ADMIN_EMAIL => 'admin@plant.example',
			METABASE_ADMIN_PASSWORD => $admin_password,
			%$env
		},
		name => 'provision',
		timeout => 120);
	my $said = $result->{stdout} . $result->{stderr};

	unlike($said, qr/\Q$admin_password\E|\Q${\bi_password}\E/,
		"$name: no secret is shown");
	return ($result->{rc}, $said);
}

# ask($method, $path [, $body, $session]): status and value
sub ask
{
	my ($method, $path, $body, $session) = @_;
	my $answer = $http->request($method, $metabase . $path, {
			headers => { $session ? ('X-Metabase-Session' => $session) : () },
			defined $body ? (content => encode_json($body)) : () });
	my $value = $answer->{content};

	$value = decode_json($value)
	  if ($answer->{headers}{'content-type'} || '') =~ /json/ && length $value;
	return ($answer->{status}, $value);
}

sub stand_in { return (ask('GET', '/stand-in'))[1] }

# What there is, without ids, which a repair changes.
sub made
{
	my $state = stand_in()->{state};
	my %cards = map { $_->{id} => $_ } values %{ $state->{cards} };
	my %made;

	foreach my $card (grep { !$_->{archived} } values %cards)
	{
		push @{ $made{cards}{ $card->{name} } },
		  { %$card, id => undef };
	}
	foreach my $dashboard (values %{ $state->{dashboards} })
	{
		push @{ $made{dashboards}{ $dashboard->{name} } }, {
			%$dashboard,
			dashcards => [
				sort { $a->{row} * 100 + $a->{col} <=> $b->{row} * 100 + $b->{col} }
				  map { { %$_, id => undef,
					card_id => $cards{ $_->{card_id} }{name} } }
				  @{ $dashboard->{dashcards} }
			]
		};
	}
	return { %made, map { $_ => $state->{$_} } qw(databases collections) };
}

# Requests since the $first-th that change anything.
sub changes
{
	my ($first) = @_;
	my @requests = @{ stand_in()->{requests} };

	return [ map { "@$_[0, 1]" }
		  grep { $_->[0] ne 'GET'
			&& $_->[1] !~ m{^/api/(session|card/\d+/query|database/\d+/sync_schema)$} }
		  @requests[ $first .. $#requests ] ];
}

sub requests_so_far { return scalar @{ stand_in()->{requests} } }

# The first run makes everything.
my ($rc, $said) = provision('first', {});
is($rc, 0, 'the first run') or BAIL_OUT($said);
like($said, qr{^http://plant\.example:3000/dashboard/\d+\#refresh=60$}m,
	'ends with the address of the dashboard, which has the refresh in it');
like($said, qr/waiting for .*initializing/, 'it waited for Metabase');
like($said, qr/schema read: \d+ views/, 'and for the schema');
is_deeply(stand_in()->{violations}, [], 'every request is as published');
my $made = made();
my @cards = sort keys %{ $made->{cards} };
is(scalar @cards, 13, 'all cards are there');
is(scalar keys %{ $made->{dashboards} }, 1, 'on one dashboard');
my ($dashboard) = $made->{dashboards}{Plant}[0];
is_deeply([ sort map { $_->{card_id} } @{ $dashboard->{dashcards} } ],
	\@cards, 'which shows each of them');
is($made->{databases}{ (keys %{ $made->{databases} })[0] }{details}{password},
	bi_password, 'the password came as it is');

# Metabase would draw cards over each other, or beyond the edge, and not say so.
my (%taken, @misplaced);
foreach my $card (@{ $dashboard->{dashcards} })
{
	push @misplaced, $card->{card_id} if $card->{col} + $card->{size_x} > 24;
	foreach my $row ($card->{row} .. $card->{row} + $card->{size_y} - 1)
	{
		foreach my $col ($card->{col} .. $card->{col} + $card->{size_x} - 1)
		{
			push @misplaced, $card->{card_id} if $taken{"$row $col"}++;
		}
	}
}
is_deeply(\@misplaced, [], 'cards have a place of their own');

# The second one changes nothing.
my $before = requests_so_far();
($rc, $said) = provision('second', {});
is($rc, 0, 'the second run') or diag $said;
is_deeply(changes($before), [], 'has nothing to do');
is_deeply(made(), $made, 'and leaves everything as it is');

# What cards show is what the tables hold.
my (undef, $login) = ask('POST', '/api/session',
	{ username => 'admin@plant.example', password => $admin_password });
my $session = $login->{id};
my %card = map { $_->{name} => $_ } values %{ stand_in()->{state}{cards} };

sub rows_of
{
	my ($name) = @_;
	my ($status, $answer) =
	  ask('POST', "/api/card/$card{$name}{id}/query", {}, $session);

	is("$status $answer->{status}", '202 completed', "$name: answers");
	my %columns = map { $_->{name} => 1 } @{ $answer->{data}{cols} };
	my $settings = $card{$name}{visualization_settings};
	my @rules = @{ $settings->{'table.column_formatting'} || [] };
	my @used = (
		$settings->{'scalar.field'} // (),
		(map { @{ $settings->{"graph.$_"} || [] } } qw(dimensions metrics)),
		(map { @{ $_->{columns} } } @rules),
		(map { decode_json($_)->[1] } keys %{ $settings->{column_settings} || {} }));
	is_deeply([ grep { !$columns{$_} } @used ], [],
		"$name: what is set is set for columns that it has");
	return @{ $answer->{data}{rows} };
}

sub expected
{
	my ($query) = @_;

	return map { [ map { $_ eq '' ? undef : $_ } split /\|/, $_, -1 ] }
	  split /\n/, sql($node, $query);
}

# The same to six digits after the point
sub same_numbers
{
	my ($got, $expected, $column, $name) = @_;

	$_->[$column] = sprintf '%.6f', $_->[$column] foreach @$got, @$expected;
	cmp_ok(scalar @$expected, '>', 0, "$name: there is something to compare");
	return is_deeply($got, $expected, "$name: as the tables have it");
}

foreach my $type (qw(temperature humidity))
{
	same_numbers([ rows_of("Average $type") ], [ expected(<<"QUERY") ], 0,
SELECT avg(value) FROM (
	SELECT DISTINCT ON (r.sensor_id) r.value, r.ts, v.sensor_type
	FROM _factorymon.reading r JOIN _factorymon.sensor_version v
		USING (sensor_version_id)
	ORDER BY r.sensor_id, r.ts DESC) AS newest
WHERE sensor_type = '$type' AND ts > now() - interval '5 minutes'
QUERY
		"average $type");
	my @lines = rows_of(ucfirst "$type per zone");
	same_numbers(\@lines, [ expected(<<"QUERY") ], 2,
SELECT date_trunc('minute', r.ts), v.factory_section || ' / ' || v.zone,
	avg(r.value)
FROM _factorymon.reading r JOIN _factorymon.sensor_version v
	USING (sensor_version_id)
WHERE v.sensor_type = '$type' GROUP BY 1, 2 ORDER BY 1, 2
QUERY
		"$type per zone and minute");
	my %zones = map { $_->[1] => 1 } @lines;
	is(scalar keys %zones, 5, 'a line for each of five');
}
is_deeply([ rows_of('Alarms nobody has acknowledged') ],
	[ expected("SELECT count(*) FROM _factorymon.alarm "
			. "WHERE state LIKE '%_unacknowledged'") ],
	'alarms that wait');
my ($age) = rows_of('Age of the newest reading');
my ($older) = expected('SELECT extract(epoch FROM now() - max(ts)) '
	  . 'FROM _factorymon.reading');
ok($age->[0] > 0 && $age->[0] <= $older->[0] && $older->[0] - $age->[0] < 30,
	'age of the newest reading') or diag "$age->[0], $older->[0]";

# No pipeline has cities: their cards answer, with nothing.
is_deeply([ rows_of("Cities: average $_") ], [ [undef] ],
	"no city, no average $_") foreach qw(temperature humidity);
is_deeply([ map { rows_of($_) } 'Cities by criticality',
		'Cities: temperature per minute', 'Cities: humidity per minute' ],
	[], 'no city, no row');

# rank, level, machine, section, zone, severity, critical, warning, waiting, ...
my @machines = map { [ @$_[ 2, 1, 6 .. 8, 10, 11 ] ] }
  rows_of('Machines by criticality');
is_deeply([ map { "$_->[0] $_->[1]" } @machines ],
	[ 'machine-002 critical', 'machine-004 critical', 'machine-003 warning',
		'machine-001 normal', 'machine-005 unknown' ],
	'the most critical machine first; one not heard of is not normal');
is_deeply([ sort { $a->[0] cmp $b->[0] } @machines ], [ expected(<<'QUERY') ],
SELECT v.machine_id,
	CASE WHEN count(*) FILTER (WHERE a.level & 3 = 2) > 0 THEN 'critical'
		WHEN count(*) FILTER (WHERE a.level & 3 = 1) > 0 THEN 'warning'
		WHEN max(r.ts) < now() - interval '5 minutes' THEN 'unknown'
		ELSE 'normal' END,
	count(*) FILTER (WHERE a.level & 3 = 2),
	count(*) FILTER (WHERE a.level & 3 = 1),
	count(*) FILTER (WHERE a.state LIKE '%_unacknowledged'),
	count(*), count(*) FILTER (WHERE r.ts < now() - interval '5 minutes')
FROM _factorymon.sensor_version v
LEFT JOIN _factorymon.alarm a USING (sensor_id)
JOIN (SELECT sensor_id, max(ts) AS ts FROM _factorymon.reading GROUP BY 1) r
	USING (sensor_id)
GROUP BY v.machine_id ORDER BY v.machine_id
QUERY
	'machines, as the tables have them');
my $rules = $card{'Machines by criticality'}{visualization_settings}
  {'table.column_formatting'};
is_deeply([ @{ $rules->[0] }{qw(operator value highlight_row)} ],
	[ '=', 'critical', JSON::PP::true ], 'critical ones are red');
is_deeply([ grep { $_->[2] > 0 } rows_of('Alarms per hour') ],
	[ expected(<<'QUERY') ], 'alarms per hour');
SELECT date_trunc('hour', recorded_at),
	CASE WHEN severity >= 667 THEN 'high' WHEN severity >= 334 THEN 'medium'
		ELSE 'low' END AS severity, count(*)
FROM _factorymon.transition WHERE transition = 'raised' AND announced
GROUP BY 1, 2 ORDER BY 1, 2
QUERY

# Then one of its pipelines' sensors stands in a city: nothing but the zone is
# known of it, and its newest reading was reported critical.
sql($node, <<'QUERY');
UPDATE _factorymon.sensor_version SET factory_section = '', machine_id = '',
	zone = 'Recife' WHERE sensor_version_id = (
		SELECT r.sensor_version_id FROM _factorymon.reading r
			JOIN _factorymon.sensor_version v USING (sensor_version_id)
		WHERE v.sensor_type = 'temperature' ORDER BY r.ts DESC LIMIT 1);
UPDATE _factorymon.reading r SET level = r.level & 15 | 48
	FROM _factorymon.sensor_version v
	WHERE v.sensor_version_id = r.sensor_version_id AND v.zone = 'Recife';
QUERY
my ($city) = rows_of('Cities by criticality');
is_deeply([ @$city[ 0 .. 2 ], $city->[4] ], [ 1, 'critical', 'Recife', undef ],
	'a city, by what was reported of it');
same_numbers([ rows_of('Cities: temperature per minute') ], [ expected(<<'QUERY') ],
SELECT date_trunc('minute', r.ts), v.zone, avg(r.value)
FROM _factorymon.reading r JOIN _factorymon.sensor_version v
	USING (sensor_version_id)
WHERE v.zone = 'Recife' AND coalesce(r.quality, 1) >= 0.5 GROUP BY 1, 2 ORDER BY 1
QUERY
	2, 'its minutes');

# What comes in the format of cities is weather, and of no plant.
ok(scalar(rows_of('Machines by criticality')), 'there are machines');
sql($node, "UPDATE _factorymon.pipeline SET format = 'city'");
is_deeply([ map { rows_of($_) } 'Machines by criticality', 'Temperature per zone',
		'Humidity per zone' ], [], 'cities are no machines and no zones');
is_deeply([ map { rows_of("Average $_") } qw(temperature humidity) ],
	[ [undef], [undef] ], 'and in no average');
sql($node, "UPDATE _factorymon.pipeline SET format = 'factory'");

# Somebody deletes a card, archives one, changes one and moves them around.
my ($spoiled) = values %{ stand_in()->{state}{dashboards} };
ask(@$_, $session)
  foreach (
	[ 'DELETE', "/api/card/$card{'Temperature per zone'}{id}", undef ],
	[ 'PUT', "/api/card/$card{'Average humidity'}{id}",
		{ archived => JSON::PP::true } ],
	[ 'PUT', "/api/card/$card{'Alarms per hour'}{id}", { display => 'pie' } ],
	[ 'PUT', "/api/card/$card{'Machines by criticality'}{id}",
		{ dataset_query => { %{ $card{'Machines by criticality'}{dataset_query} },
				native => { query => 'SELECT 1' } } } ],
	[ 'PUT', "/api/dashboard/$spoiled->{id}",
		{ dashcards => [ { id => -1, row => 0, col => 0, size_x => 1, size_y => 1,
				card_id => $card{'Alarms per hour'}{id} } ] } ]);
$before = requests_so_far();
($rc, $said) = provision('third', {});
is($rc, 0, 'the third run') or diag $said;
is_deeply(made(), $made, 'puts everything back');
is(scalar @{ changes($before) }, 5,
	'with no more than two new cards, two changes, one arrangement')
  or diag explain changes($before);
$before = requests_so_far();
provision('fourth', {});
is_deeply(changes($before), [], 'after which there is nothing to do');
is_deeply(stand_in()->{violations}, [], 'still every request is as published');

# Secrets from files; a new password of the database
append_to_file("$folder/admin", "$admin_password\n");
append_to_file("$folder/database", "other 1\n");
sql($node, "ALTER ROLE bi PASSWORD 'other 1'");
my %files = (
	METABASE_ADMIN_PASSWORD => '',
	METABASE_ADMIN_PASSWORD_FILE => "$folder/admin",
	FACTORYMON_DB_PASSWORD_FILE => "$folder/database");
($rc, $said) = provision('files', \%files);
is($rc, 0, 'with secrets in files') or diag $said;
like($said, qr/changed the connection/, 'the new password is made known');
sql($node, "ALTER ROLE bi PASSWORD '${\bi_password}'");
is((provision('back', {}))[0], 0, 'and the old one again');

# What goes wrong has a reason and an exit code.
sub refused
{
	my ($name, $code, $reason, $env, @arguments) = @_;
	my ($rc, $said) = provision($name, $env, @arguments);

	is($rc, $code, "$name: exit code $code") or diag $said;
	return like($said, qr/^provision: error: .*$reason/m, "$name: it says why");
}

my $repository = FactorymonTest::repo_path('docker/metabase');
mkdir "$folder/wrong";
system('cp', '-r', "$repository/content.json", "$repository/cards",
	"$folder/wrong") == 0 or die "cp: $?\n";
append_to_file("$folder/wrong/cards/unacknowledged.sql",
	'WHERE no_such_column > 0');
refused('a wrong column', 6,
	'Alarms nobody has acknowledged: .*no_such_column', {}, '--content',
	"$folder/wrong/content.json");
sql($node, "SELECT factorymon.revoke_access('reader', 'bi')");
refused('a role without rights', 6, 'permission denied', {});
sql($node, "SELECT factorymon.grant_access('reader', 'bi')");
refused('a wrong login', 4, 'did not match stored password',
	{ METABASE_ADMIN_PASSWORD => 'wrong' });
refused('nothing said', 2, 'METABASE_ADMIN_EMAIL is not set',
	{ METABASE_ADMIN_EMAIL => '' });
refused('a file that is not there', 2, 'No such file',
	{ METABASE_ADMIN_PASSWORD_FILE => "$folder/nothing" });
refused('no content', 2, 'no.json', {}, '--content', "$folder/no.json");
refused('no Metabase', 3, 'did not come up within 1 s.*refused',
	{ METABASE_URL => 'http://127.0.0.1:1', METABASE_WAIT => 1 });
$node->stop;
refused('the database is down', 5, 'cannot use .*', {});

$metabase = start_stand_in();
refused('a password that everybody has', 4, 'password is too common',
	{ METABASE_ADMIN_PASSWORD => 'secret' });
refused('a database that is down, the first time', 5, 'cannot use bi at', {});
is_deeply(stand_in()->{state}{databases}, {}, 'of which nothing is kept');
$node->start;
refused('a wrong password of the database', 5,
	'password authentication failed', { FACTORYMON_DB_PASSWORD => 'wrong' });

# The stand-in lets nothing pass.
(undef, $login) = ask('POST', '/api/session',
	{ username => 'admin@plant.example', password => $admin_password });
$session = $login->{id};
foreach (
	[ 'no session', 401, 'GET', '/api/card' ],
	[ 'a path of old', 404, 'POST', '/api/dashboard/1/cards', {}, $session ],
	[ 'a member too many', 400, 'POST', '/api/collection',
		{ name => 'x', color => '#fff' }, $session ],
	[ 'a member too few', 400, 'POST', '/api/card', { name => 'x' }, $session ],
	[ 'a wrong type', 400, 'POST', '/api/dashboard', { name => 7 }, $session ],
	[ 'a parameter too many', 400, 'GET', '/api/card?x=1', undef, $session ])
{
	my ($name, $status, @request) = @$_;
	my $count = @{ stand_in()->{violations} };

	is((ask(@request))[0], $status, "stand-in: $name: $status");
	is(scalar @{ stand_in()->{violations} }, $count + 1, 'and it is noted');
}
done_testing();
