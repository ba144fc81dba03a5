# What BI tools on JDBC see: PostgreSQL's own driver lists every view with its
# comments, maps every column to a type that tools know, needs no quotes, reads
# every view as a reader, and does not hold what it has not been asked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonTest;
use Test::More;

my $java = run_program([ 'java', '-version' ]);
plan skip_all => 'there is no Java' if $java->{rc} ne '0';
my $fetched = run_program([ repo_path('test/jdbc/driver') ], timeout => 600);
plan skip_all => "the driver cannot be had: $fetched->{stderr}"
  if $fetched->{rc} ne '0';
chomp(my $driver = $fetched->{stdout});

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node(conf => "listen_addresses = '127.0.0.1'");
create_pipeline($node, $broker, workers => 1, options => quick_options(),
	alert_topic => '');
sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO factorymon.threshold (sensor_type, critical_high)
VALUES ('temperature', -50);
QUERY
is(run_producer(kafka => $broker, sensors => 10, count => 200, seed => 7,
		rate => 1000, heartbeat => 1)->{rc}, 0, 'readings');
ok(poll_until($node, 'SELECT messages FROM factorymon.message_counters', 200),
	'arrive');
ok(poll_until($node, 'SELECT count(*) > 0 AND '
			. '(SELECT pending = 0 FROM factorymon.publisher_health) '
			. 'FROM factorymon.alarm_hours', 't'), 'alarms are counted');

# Far from the server's zone (UTC), and where an hour came twice in November; in
# a heap that 200,000 rows at once would not fit in.
my $result = run_program([
		'java', '-Xmx48m', '-Duser.timezone=America/New_York', '-cp',
		"$driver/*", repo_path('test/jdbc/Metadata.java'),
		'jdbc:postgresql://127.0.0.1:' . $node->port . '/factory?user=watcher'
	], timeout => 120);
is($result->{rc}, 0, 'the program ends well') or diag $result->{stderr};
note sprintf '%.1f s', $result->{seconds};

my %seen;    # by kind: lists of members
foreach (split /\n/, $result->{stdout})
{
	my ($kind, @members) = split /\t/;

	push @{ $seen{$kind} }, \@members;
}

sub seen
{
	my ($kind, @indexes) = @_;

	return join "\n", sort
	  map { join '|', @$_[ @indexes ? @indexes : 0 .. $#$_ ] } @{ $seen{$kind} };
}

sub sorted
{
	my ($query) = @_;

	return join "\n", sort split /\n/, sql($node, $query);
}

like(seen('schema'), qr/^factorymon$/m, 'the schema is seen');
is(join("\n", sort map { $_->[1] } grep { $_->[0] eq 'VIEW' } @{ $seen{table} }),
	sorted(<<'QUERY'), 'every view is');
SELECT relname FROM pg_class
WHERE relnamespace = 'factorymon'::regnamespace AND relkind = 'v'
QUERY
is(join("\n", sort map { $_->[1] } grep { $_->[0] ne 'VIEW' } @{ $seen{table} }),
	sorted(<<'QUERY'), 'beside them only tables that people edit');
SELECT relname FROM pg_class WHERE relnamespace = 'factorymon'::regnamespace
	AND relkind = 'r' AND has_table_privilege('watcher', oid, 'SELECT')
QUERY
is(join(' ', map { $_->[1] } grep { $_->[2] eq 'null' } @{ $seen{table} }), '',
	'each says what it is');
is(join(' ', map { "$_->[0].$_->[1]" } grep { $_->[4] eq 'null' }
		@{ $seen{column} }), '', 'and so does each column');
is(seen('column', 0, 1, 4), sorted(<<'QUERY'), 'in the same words');
SELECT c.relname, a.attname, col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'factorymon'::regnamespace AND c.relkind IN ('v', 'r')
	AND a.attnum > 0 AND NOT a.attisdropped
QUERY

# Types.OTHER is 1111.  Ids of alarms and events are UUIDs, which every tool takes
# as text.  JSON is what messages carry in any shape, and a message that goes out
# as it goes out; a mapping is JSON, too.  Which partitions a consumer has, and
# which pipelines a format, is a list, that is an array; intervals are what people
# set in tables.
my %is_view = map { $_->[1] => 1 } grep { $_->[0] eq 'VIEW' } @{ $seen{table} };
sub unknown
{
	my ($in_views) = @_;

	return grep { ($_->[3] == 1111 || $_->[3] == 2003) && $_->[2] ne 'uuid'
		  && !$is_view{ $_->[0] } == !$in_views } @{ $seen{column} };
}

is(join(' ', sort map { "$_->[0].$_->[1]" } unknown(1)), join(' ', qw(
		  alert_outbox.payload consumer_health.partitions
		  formats.mapping formats.pipelines latest_readings.metadata rebalancing_events.partitions rejects.headers
		  sensor_readings.extra sensor_readings.metadata)),
	'in views no other column is of a type that tools do not know');
is(join(' ', map { "$_->[0].$_->[1]" } grep { $_->[2] !~ /^(interval|jsonb)$/ }
		unknown(0)), '', 'in tables only intervals are, and what was changed in them');
my %code = (timestamptz => 93, text => 12, float8 => 8, int8 => -5, bool => -7);
is(join(' ', grep { my $type = $_; grep { $_->[2] eq $type
				  && $_->[3] != $code{$type} } @{ $seen{column} } }
		sort keys %code), '', 'the usual ones are mapped as usual');
like(seen('type'), qr/^timestamptz\|93$/m, 'the types are listed');

is(join(' ', sort grep { !/^[a-z][a-z0-9_]*$/ }
		map { ($_->[0], $_->[1]) } @{ $seen{column} }), '',
	'names are plain');
# "limit" is a member of the message, "position" an operating position.
is(sql($node, <<'QUERY'), "limit\nposition", 'two columns need quotes');
SELECT DISTINCT a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'factorymon'::regnamespace AND c.relkind IN ('v', 'r')
	AND a.attnum > 0 AND NOT a.attisdropped
	AND quote_ident(a.attname) <> a.attname
ORDER BY 1
QUERY
is(sql($node, <<'QUERY'), '', 'and no relation');
SELECT relname FROM pg_class
WHERE relnamespace = 'factorymon'::regnamespace AND quote_ident(relname) <> relname
QUERY

is(seen('key'), sorted(<<'QUERY'), 'primary keys');
SELECT t.relname, a.attname
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
	JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
WHERE c.contype = 'p' AND c.connamespace = 'factorymon'::regnamespace
QUERY
is(join("\n", do { my %once; sort grep { !$once{$_}++ }
		split /\n/, seen('index') }), sorted(<<'QUERY'), 'indexes');
SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'factorymon'
QUERY

is(seen('read', 0), join("\n", sort keys %is_view), 'a reader reads every view');
my %rows = map { @$_ } @{ $seen{read} };
cmp_ok($rows{$_}, '>', 0, "$_ has rows")
  foreach qw(sensor_readings latest_readings alarms alerts plant_now zone_now
  machine_status zone_minutes alarm_hours system_status sensor_health);

my $newest = sql($node,
	'SELECT floor(extract(epoch FROM max(ts)) * 1000)::bigint '
	  . 'FROM _factorymon.reading');
is(seen('instant'),
	"Object|$newest\nOffsetDateTime|$newest\nTimestamp|$newest",
	'a time is the right instant, wherever it is read');
is(seen('streamed'), '200000|1', 'rows are streamed');
is(seen('limited'), '7', 'and limited');

$node->stop;
done_testing();
