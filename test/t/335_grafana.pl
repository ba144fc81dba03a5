# Grafana's dashboards and data sources, as far as they can be held without it:
# the types that Grafana publishes; every SQL query as it would be sent, run as
# the role of the data source, with answers as the base tables have them; every
# PromQL query by Debian's Prometheus, which scrapes what they ask for; and that
# nothing looks well because nothing is known.

use strict;
use warnings;

use CPAN::Meta::YAML;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonDashboard;
use FactorymonGrafana;
use FactorymonPlant;
use FactorymonPrometheus;
use FactorymonTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $grafana = FactorymonTest::repo_path('docker/grafana');
my %dashboards = map {
	($_ => decode_json(slurp_file("$grafana/dashboards/$_.json")))
} qw(plant pipeline cities);

# All panels of all dashboards: { dashboard, panel, target, name }.
my @targets = map {
	my $dashboard = $_;
	map {
		my $panel = $_;
		map { {
				dashboard => $dashboard,
				panel => $panel,
				target => $_,
				name => "$dashboard: $panel->{title} $_->{refId}"
		} } @{ $panel->{targets} }
	} @{ $dashboards{$dashboard}{panels} }
} sort keys %dashboards;

#
# Files
#
SKIP:
{
	my $result = run_program([
			FactorymonTest::repo_path('test/grafana/check-dashboards'),
			map { "$grafana/dashboards/$_.json" } sort keys %dashboards
		], timeout => 400);

	skip $result->{stderr}, 1 if $result->{rc} eq '77' || $result->{rc} eq '127';
	is("$result->{rc} $result->{stdout}$result->{stderr}", '0 ',
		'dashboards are of the types that Grafana publishes');
}

# What provisioning makes of the files, in an environment
my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_plant($broker);
my %environment = (
	%{ bi_environment($node) },
	FACTORYMON_DB_SSLMODE => 'disable',
	PROMETHEUS_URL => 'http://prometheus:9090');

sub provisioned
{
	my ($value) = @_;

	return { map { $_ => provisioned($value->{$_}) } keys %$value }
	  if ref $value eq 'HASH';
	return [ map { provisioned($_) } @$value ] if ref $value eq 'ARRAY';
	return grafana_expand($value, \%environment);
}

sub yaml { return CPAN::Meta::YAML->read("$grafana/provisioning/$_[0]")->[0] }

my $sources_file = yaml('datasources/factorymon.yml');
my %source =
  map { $_->{uid} => $_ } @{ provisioned($sources_file)->{datasources} };
my $postgres = $source{factorymon};
is_deeply([ @$postgres{qw(url user)}, $postgres->{jsonData}{database},
		$postgres->{jsonData}{sslmode} ],
	[ $node->host . ':' . $node->port, 'bi', 'factory', 'disable' ],
	'the environment says where the database is');
is($postgres->{secureJsonData}{password}, bi_password,
	'and the password, as it is');
is_deeply([ map { values %{ $_->{secureJsonData} || {} } }
		@{ $sources_file->{datasources} } ], ['$FACTORYMON_DB_PASSWORD'],
	'no secret is in the file');
is($source{'factorymon-metrics'}{url}, 'http://prometheus:9090',
	'and where Prometheus is');
my $provider = yaml('dashboards/factorymon.yml')->{providers}[0];
is("$provider->{type} $provider->{options}{path}",
	'file /var/lib/grafana/dashboards', 'dashboards are files');

my %uids = map { $_->{uid} => 1 } values %dashboards;
is(scalar keys %uids, scalar keys %dashboards,
	'dashboards have different uids');
foreach my $name (sort keys %dashboards)
{
	my $dashboard = $dashboards{$name};
	my @panels = @{ $dashboard->{panels} };
	my (%ids, %taken);
	my $misplaced = 0;

	$ids{ $_->{id} }++ foreach @panels;
	is(scalar keys %ids, scalar @panels, "$name: panels have different ids");
	foreach my $place (map { $_->{gridPos} } @panels)
	{
		foreach my $y ($place->{y} .. $place->{y} + $place->{h} - 1)
		{
			$misplaced += $_ > 23 || $taken{"$_ $y"}++
			  foreach $place->{x} .. $place->{x} + $place->{w} - 1;
		}
	}
	is($misplaced, 0, "$name: panels have a place of their own");
	is_deeply([ grep { $_ !~ m{^/d/(\S+)$} || !$uids{$1} }
			map { $_->{url} } @{ $dashboard->{links} } ], [],
		"$name: links lead to dashboards");
	my @sources = map { $_->{datasource} } @panels,
	  @{ $dashboard->{templating}{list} },
	  map { @{ $_->{targets} } } @panels;
	is_deeply([ grep { ($source{ $_->{uid} } || {})->{type} ne $_->{type} }
			@sources ], [], "$name: data sources are those provisioned");
}

# What is not known must not look well.
sub colours
{
	my ($value) = @_;

	return ref $value eq 'HASH' ? map { colours($_) } values %$value
	  : ref $value eq 'ARRAY' ? map { colours($_) } @$value
	  : ($value // '') =~ /^(#\w{6}|.*green.*)$/i ? $1 : ();
}

is_deeply([ grep { /green/i
			|| hex(substr $_, 3, 2) > 1.3 * hex(substr $_, 1, 2)
			&& hex(substr $_, 3, 2) > 1.3 * hex(substr $_, 5, 2) }
		colours(\%dashboards) ], [], 'nothing is green');
foreach my $panel (grep { $_->{type} eq 'stat' }
	map { @{ $_->{panels} } } values %dashboards)
{
	my $defaults = $panel->{fieldConfig}{defaults};
	my ($null) = grep { $_->{type} eq 'special' } @{ $defaults->{mappings} };

	is_deeply([ $defaults->{noValue}, $null->{options}{match},
			$null->{options}{result}{text} ],
		[ 'unknown', 'null+nan', 'unknown' ],
		"$panel->{title}: nothing and null are unknown");
}
is_deeply([ map { $_->{title} } grep { $_->{type} eq 'timeseries'
			&& $_->{fieldConfig}{defaults}{custom}{spanNulls} }
		map { @{ $_->{panels} } } values %dashboards ], [],
	'no line is drawn where there was nothing');

#
# SQL
#
is(run_producer(kafka => $broker, malformed => 1, count => 7, seed => 7,
		rate => 1000, heartbeat => 0)->{rc}, 0, 'messages that are none');
ok(caught_up($node, 9207), 'arrive');
my %range = (from => time - 7200, to => time + 1, interval => '1m');

# Run as the role of the data source: rows as hashes, by columns in order.
sub run_sql
{
	my ($sql, $name) = @_;
	my ($out, $err) = ('', '');

	local $ENV{PGPASSWORD} = $postgres->{secureJsonData}{password};
	my @options = (
		extra_params => [ '-U', $postgres->{user}, '-w' ],
		stdout => \$out,
		stderr => \$err);
	my $rc = $node->psql('factory', "$sql\n\\gdesc", @options);
	BAIL_OUT("$name: $err") if $rc != 0;
	my @columns = map { [ split /\|/ ] } split /\n/, $out;
	$rc = $node->psql('factory', "SELECT to_json(x) FROM ($sql\n) AS x",
		@options);
	BAIL_OUT("$name: $err") if $rc != 0;
	my @rows = map { decode_json($_) } split /\n/, $out;

	pass("$name: answers");
	return { columns => \@columns, rows => \@rows };
}

# Each variable is asked with what the ones before it had.
my %variables = (sensor_type => [], section => [], zone => [], pipeline => []);
my %nothing = %variables;
foreach my $dashboard (map { $dashboards{$_} } sort keys %dashboards)
{
	foreach my $variable (@{ $dashboard->{templating}{list} })
	{
		my $answer = run_sql(
			grafana_sql($variable->{query}, %range, variables => \%variables),
			"variable $variable->{name}");

		is(scalar @{ $answer->{columns} }, 1, 'with one column');
		my ($column) = map { $_->[0] } @{ $answer->{columns} };
		$variables{ $variable->{name} } =
		  [ map { $_->{$column} } @{ $answer->{rows} } ];
	}
}
is_deeply(\%variables, {
		pipeline => ['sensor-data'],
		section => [ split /\n/, sql($node, 'SELECT DISTINCT factory_section '
				. 'FROM _factorymon.sensor_version ORDER BY 1') ],
		zone => ['zone-a'],
		sensor_type => [qw(energy humidity pressure temperature vibration)] },
	'variables have what there is');

# What a panel shows, by columns that it names.
sub named_columns
{
	my ($panel) = @_;
	my $fields = ($panel->{options}{reduceOptions} || {})->{fields} // '';
	my @names = $fields =~ m{^/\^(\w+)\$/$} ? ($1) : ();

	return @names if $panel->{type} eq 'timeseries';
	return (@names, map { $_->{matcher}{options} }
		  @{ $panel->{fieldConfig}{overrides} });
}

sub is_time_series
{
	my ($answer, $name) = @_;
	my %type = map { @$_ } @{ $answer->{columns} };
	my @times = map { $_->{time} } @{ $answer->{rows} };

	like($type{time} // '', qr/^(timestamp with time zone|numeric)$/,
		"$name: there is a time");
	is(delete $type{metric}, 'text', "$name: a name for each line");
	delete $type{time};
	is_deeply([ grep { !/^(double precision|bigint|numeric)$/ } values %type ],
		[], "$name: the rest are numbers");
	# timestamps of one length, or seconds: text sorts as time does
	is_deeply(\@times, [ sort @times ], "$name: in order");
	return;
}

my %answers;
foreach (grep { $_->{target}{rawSql} && $_->{dashboard} ne 'cities' } @targets)
{
	my ($target, $panel, $name) = @$_{qw(target panel name)};
	my $answer = run_sql(
		grafana_sql($target->{rawSql}, %range, variables => \%variables), $name);
	my %columns = map { $_->[0] => 1 } @{ $answer->{columns} };

	$answers{ $panel->{title} } = $answer->{rows};
	cmp_ok(scalar @{ $answer->{rows} }, '>', 0, "$name: has something to show");
	is_deeply([ grep { !$columns{$_} } named_columns($panel) ], [],
		"$name: has the columns that are told apart");
	is_time_series($answer, $name) if $target->{format} eq 'time_series';
	# before the first sensor was heard of
	run_sql(grafana_sql($target->{rawSql}, %range, variables => \%nothing),
		"$name, without anything chosen");
}

# To six digits, without zeros at the end
sub rounded { return sprintf('%.6f', $_[0]) =~ s/\.?0+$//r }

# Rows as text
sub flat
{
	my ($rows, @columns) = @_;

	return [ map { my $row = $_; join '|', map {
				my $value = $row->{$_} // '';
				$value =~ /^-?\d+\.\d+$/ ? rounded($value) : $value
			} @columns } @$rows ];
}

sub as_tables
{
	my ($title, $columns, $query) = @_;
	my $expected = sql($node, $query);

	utf8::decode($expected);
	return is_deeply(flat($answers{$title}, @$columns),
		[ map { s/(?<!\d)(-?\d+\.\d+)(?!\d)/rounded($1)/ger }
			split /\n/, $expected ],
		"$title: as the tables have it");
}

is_deeply($answers{Machines},
	[ { critical => 2, warning => 1, normal => 1, unknown => 1 } ], 'machines');
as_tables('Alarms that nobody has acknowledged', ['alarms'],
	"SELECT count(*) FROM _factorymon.alarm WHERE state LIKE '%_unacknowledged'");
is($answers{'Sensors not heard of'}[0]{sensors}, 5, 'sensors not heard of');
is(join(' ', map { "$_->{machine_id} $_->{level}" }
		@{ $answers{'Machines by criticality'} }),
	'machine-002 critical machine-004 critical machine-003 warning '
	  . 'machine-001 normal machine-005 unknown', 'machines by criticality');
as_tables('Now, by type of sensor', [ 'type', 'average' ], <<'QUERY');
SELECT sensor_type || ' (' || unit || ')', avg(value)::numeric(20, 9) FROM (
	SELECT DISTINCT ON (r.sensor_id) r.value, r.ts, v.sensor_type, v.unit
	FROM _factorymon.reading r JOIN _factorymon.sensor_version v
		USING (sensor_version_id)
	ORDER BY r.sensor_id, r.ts DESC) AS newest
WHERE ts > now() - interval '5 minutes' GROUP BY 1 ORDER BY 1
QUERY
as_tables('Active alarms', [qw(level sensor_id state severity)], <<'QUERY');
SELECT CASE a.level & 3 WHEN 1 THEN 'warning' ELSE 'critical' END, s.name,
	a.state, a.severity
FROM _factorymon.alarm a JOIN _factorymon.sensor s USING (sensor_id)
WHERE a.state <> 'normal'
ORDER BY a.state = 'active_acknowledged', a.severity DESC
QUERY
as_tables('$sensor_type per zone', [qw(time metric value)], <<'QUERY');
SELECT extract(epoch FROM date_trunc('minute', r.ts))::bigint,
	v.factory_section || ' / ' || v.zone || ' (' || v.unit || ')',
	avg(r.value)::numeric(20, 9)
FROM _factorymon.reading r JOIN _factorymon.sensor_version v
	USING (sensor_version_id)
GROUP BY 1, 2 ORDER BY 1, 2
QUERY
is_deeply(flat([ grep { $_->{value} > 0 } @{ $answers{'Alarms per hour'} } ],
		qw(metric value)),
	[ split /\n/, sql($node, <<'QUERY') ], 'alarms per hour');
SELECT CASE WHEN severity >= 667 THEN 'high' ELSE 'medium' END, count(*)
FROM _factorymon.transition WHERE transition = 'raised' AND announced
GROUP BY 1 ORDER BY 1 DESC
QUERY
as_tables('Partitions', [qw(kafka_partition position)],
	'SELECT s.kafka_partition, o.position FROM _factorymon.stream s '
	  . 'JOIN _factorymon.partition_offset o USING (stream_id) ORDER BY 1');
is_deeply([ map { $_->{pid} } @{ $answers{Workers} } ], [ worker_pids($node) ],
	'workers');
as_tables('Rejects by reason', [qw(metric value)],
	'SELECT reason, count(*) FROM _factorymon.reject GROUP BY 1 ORDER BY 1');

#
# PromQL
#
my $dashboard = start_dashboard($node, role => 'bi',
	env => { PGPASSWORD => bi_password });
my $metrics = $dashboard->get('/metrics')->{content};
my @expressions = map { {
		name => $_->{name},
		expr => grafana_promql($_->{target}{expr}, variables => \%variables)
} } grep { defined $_->{target}{expr} } @targets;

cmp_ok(scalar @expressions, '>', 8, 'there are queries of metrics');
foreach (@expressions)
{
	# name{labels} and name alone; by (labels) goes with all of them
	my ($name, $expr) = @$_{qw(name expr)};
	my @by = map { split /,\s*/ } $expr =~ /\bby \(([^)]*)\)/g;
	my @missing;

	while ($expr =~ /\b(factorymon_\w+)(?:\{([^}]*)\})?/g)
	{
		my ($metric, $selector) = ($1, $2 // '');
		my @labels = (@by, $selector =~ /(\w+)\s*=/g);
		my @lines = $metrics =~ /^(\Q$metric\E(?:\{.*\})? \S+)$/mg;

		push @missing, grep {
			my $label = $_;
			$label eq '' ? !@lines : grep { !/[{,]\Q$label\E="/ } @lines
		} '', @labels;
	}
	is_deeply(\@missing, [], "$name: metrics and labels that there are");
}
SKIP:
{
	my $program = debian_program('prometheus', 'prometheus')
	  or skip 'Debian\'s package prometheus cannot be had', 1;
	my $prometheus = start_prometheus($program, $dashboard);

	# rates are of what comes in while it looks
	my $producer = start_producer(kafka => $broker, sensor_id => 's', seed => 7,
		sensors => 20, rate => 50, heartbeat => 0, producer_id => 'plant');
	foreach (@expressions)
	{
		my ($name, $expr) = @$_{qw(name expr)};
		my $last;

		ok(poll_while($name, sub {
					$last = $prometheus->ask($expr, 'pipeline');
					return $last =~ /=/ && $last !~ /NaN/;
			}), "$name: has something to show")
		  or diag "$expr: $last";
	}
	$producer->stop;
	$prometheus->stop;
}
$dashboard->stop;

#
# Cities: of a pipeline that no worker serves, one of them half an hour silent
#
sql($node, <<'QUERY');
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
SELECT 9000 + n, 904, 'city' || n FROM generate_series(1, 6) AS n;
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT 9000 + n, 9000 + n,
	CASE WHEN n % 2 = 1 THEN 'temperature' ELSE 'humidity' END, '', '',
	(ARRAY['Recife', 'São Paulo', 'Natal'])[(n + 1) / 2],
	CASE WHEN n % 2 = 1 THEN '°C' ELSE '%RH' END
FROM generate_series(1, 6) AS n;
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT date_trunc('minute', now()) - age * interval '1 minute'
		+ s * interval '1 second', age * 10 + s, 20 + s + age / 8.0, 9000 + s,
	9040, 9000 + s, 904, 0, CASE WHEN s = 3 THEN 48 ELSE 16 END, 0
FROM generate_series(1, 6) AS s, generate_series(0, 50) AS age
WHERE s < 5 OR age > 30;
QUERY
%range = (from => time - 7200, to => time + 120, interval => '1m');
foreach (grep { $_->{dashboard} eq 'cities' } @targets)
{
	my ($target, $panel, $name) = @$_{qw(target panel name)};
	my $answer = run_sql(grafana_sql($target->{rawSql}, %range), $name);
	my %columns = map { $_->[0] => 1 } @{ $answer->{columns} };

	$answers{ $panel->{title} } = $answer->{rows};
	is_deeply([ grep { !$columns{$_} } named_columns($panel) ], [],
		"$name: has the columns that are told apart");
	is_time_series($answer, $name) if $target->{format} eq 'time_series';
}
push @{ $variables{section} }, '';
push @{ $variables{zone} }, 'Recife', 'Natal';
foreach (grep { $_->{target}{rawSql} && $_->{dashboard} eq 'plant' } @targets)
{
	my ($target, $name) = @$_{qw(target name)};
	my $answer = run_sql(grafana_sql($target->{rawSql}, %range, variables => \%variables),
		$name);

	unlike(encode_json($answer->{rows}), qr/Recife|Natal/, "$name: of no city");
}
foreach ([ 'Temperature', 'temperature' ], [ 'Humidity', 'humidity' ])
{
	my ($title, $type) = @$_;

	as_tables("$title now", ['average'], <<"QUERY");
SELECT avg(value)::numeric(20, 9) FROM (
	SELECT DISTINCT ON (r.sensor_id) r.value, r.ts
	FROM _factorymon.reading r JOIN _factorymon.sensor_version v
		USING (sensor_version_id)
	WHERE r.pipeline_id = 904 AND v.sensor_type = '$type'
	ORDER BY r.sensor_id, r.ts DESC) AS newest
WHERE ts > now() - interval '5 minutes'
QUERY
	as_tables("$title per city", [qw(time metric value)], <<"QUERY");
SELECT extract(epoch FROM date_trunc('minute', r.ts))::bigint, v.zone,
	avg(r.value)::numeric(20, 9)
FROM _factorymon.reading r JOIN _factorymon.sensor_version v
	USING (sensor_version_id)
WHERE r.pipeline_id = 904 AND v.sensor_type = '$type'
GROUP BY 1, 2 ORDER BY 1, 2
QUERY
}
is(join(' ', map { "$_->{city}:$_->{status}:" . ($_->{temperature} // '-') }
		@{ $answers{'Cities by criticality'} }),
	"S\xe3o Paulo:critical:23 Natal:unknown:- Recife:normal:21",
	'cities by criticality');
done_testing();
