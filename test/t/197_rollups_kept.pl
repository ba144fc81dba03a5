
# Rollups and what happens to a database: minutes go, then hours, then days, each
# when the level above has been computed, and what comes late after that counts
# all the same; who may read them; a dump, which goes on where it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use FactorymonRollups;
use PostgreSQL::Test::Utils;
use Test::More;

my $ZONE = 'America/St_Johns';    # half an hour off: no partition ends with its hours
my %begin = rollup_begins($ZONE);
my $broker = start_broker(topics => ['sensor-data:2']);
my $node = new_node();
my $sent = 0;

# Readings of four sensors from a time on, so many seconds apart.
sub produce
{
	my ($on, $start, $count, $interval, %opt) = @_;

	run_producer(kafka => $broker, sensors => 4, sensor_id => 'temp',
		sensor_type => 'temperature', sampling_interval => $interval,
		count => $count, rate => 0, start => $start, record_time => 'event',
		anomalies => 'none', heartbeat => 0, seed => $count, unkeyed => 1, %opt);
	$sent += $count;
	ok(caught_up($on, $sent) && rollups_settled($on), "$count readings from $start on");
	return;
}

# Levels are as rows say, before and after marks are taken.
sub are_right
{
	my ($on, $what, @levels) = @_;

	foreach my $computed (0, 1)
	{
		sql($on, "SELECT _factorymon.merge_rollups('sensor-data')") if $computed;
		is(sql($on, rollup_differences($_, $begin{$_})), '',
			"$what: $_ " . ($computed ? 'computed' : 'as it is'))
		  foreach @levels;
	}
	return;
}

# How many are left of a level before a time.
sub left
{
	my ($level, $before) = @_;

	return sql($node, "SELECT count(*) FROM _factorymon.rollup_$level WHERE bucket < '$before'");
}

# A level is kept from so many days before 2026-03-01 on, and what is older goes.
sub keep_from
{
	my ($level, $days) = @_;

	sql($node, "SELECT factorymon.set_retention('sensor-data', '$level',"
		  . " now() - (timestamptz '2026-03-01 00:00+00' - interval '$days days'))");
	return sql($node, "SELECT _factorymon.drop_expired('sensor-data')");
}

create_pipeline($node, $broker, accept_past => '10 years', workers => 2,
	time_zone => $ZONE, options => quick_options());
produce($node, '2025-09-20T00:00:00Z', 2000, 20000);    # a hundred days and more
produce($node, '2026-02-20T00:00:00Z', 800, 300);
are_right($node, 'all is there', '1m', '1h', '1d');

# --- who may read -------------------------------------------------------------
sql($node, 'CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN');
sql($node, "SELECT factorymon.grant_access('reader', 'reader')");
foreach my $view (map { ("readings_$_", "zone_$_", "machine_$_") } sort keys %begin)
{
	my $count = "SELECT count(*) > 0 FROM factorymon.$view";

	is(sql($node, "SET ROLE reader; $count"), 't', "a reader reads $view");
	isnt($node->psql('factory', "SET ROLE stranger; $count"), 0, 'others do not');
}

# --- finer levels go first ------------------------------------------------------
my ($code, $out, $error) = $node->psql('factory',
	"SELECT factorymon.set_retention('sensor-data', 'hours', '10 days')");
isnt($code, 0, 'hours are not kept for less than minutes');
like($error, qr/minutes cannot be kept for longer than hours/, 'which is said');

cmp_ok(keep_from('minutes', 30), '>', 0, 'minutes go');
is(left('1m', '2026-01-15'), 0, 'those of that time');
cmp_ok(sql($node, 'SELECT count(*) FROM factorymon.readings_1m'), '>', 0, 'others stay');
are_right($node, 'without minutes', '1h', '1d');

produce($node, '2025-10-01T00:10:00Z', 400, 2000, seed => 5);
cmp_ok(left('1m', '2026-01-15'), '>', 0, 'what comes late is a minute first');
is(keep_from('minutes', 30), 0, 'minutes that are in no hour yet wait');
is(sql($node, q{SELECT count(*) FROM _factorymon.rollup_mark WHERE bucket < '2026-01-15'}) > 0
	|| left('1m', '2026-01-15') == 0, 1, 'for that');
are_right($node, 'late after minutes are gone', '1h', '1d');
is(left('1m', '2026-01-15'), 0, 'then it is in its hour');
produce($node, '2025-10-01T00:10:00Z', 400, 2000, seed => 6);
are_right($node, 'once more', '1h', '1d');

# a partition whose hours are computed goes only when what is late in others is in
# its hour, too: all that is behind the line goes with it
sql($node, "SELECT _factorymon.ensure_partition('sensor-data', 'rollup_1m', '2025-10-01')");
produce($node, '2025-11-20T00:10:00Z', 40, 2000, seed => 12);
sql($node, "SELECT _factorymon.drop_expired('sensor-data')");
are_right($node, 'late elsewhere', '1h', '1d');

# replayed: hours have it
sql($node, "SELECT factorymon.pause('sensor-data', 0)");
ok(poll_until($node, <<'QUERY', 't'), 'paused');
SELECT state = 'paused' FROM factorymon.partition_status() WHERE kafka_partition = 0
QUERY
sql($node, "SELECT factorymon.seek('sensor-data', 0, 0, true)");
sql($node, "SELECT factorymon.resume('sensor-data', 0)");
ok(lag_is_zero($node), 'read again');
are_right($node, 'read again', '1h', '1d');

# hours
cmp_ok(keep_from('hours', 30), '>', 0, 'hours go');
my $line = sql($node, 'SELECT hours_from FROM _factorymon.rollup_progress');
cmp_ok(sql($node, "SELECT '$line'::timestamptz > '2025-10-01'"), 'eq', 't', 'a partition of them');
is(left('1h', $line), 0, 'all of its time');
are_right($node, 'without hours', '1d');
produce($node, '2025-10-01T00:20:00Z', 400, 2000, seed => 7);
are_right($node, 'late after hours are gone', '1d');
is(left('1h', $line), 0, 'it is in its day');

# another time zone: what cannot be computed anew stays, nothing is lost or doubled
my $total = 'SELECT sum(n) + sum(n_bad) FROM factorymon.readings_1d';
my $n = sql($node, $total);
$ZONE = 'Australia/Eucla';
%begin = rollup_begins($ZONE);
produce($node, '2025-10-03T00:20:00Z', 400, 20000, seed => 13);
sql($node, "SELECT factorymon.alter_pipeline('sensor-data', time_zone => '$ZONE')");
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
is(sql($node, $total), $n + 400, 'another time zone, and late ones that were in no day yet');
produce($node, '2025-10-02T00:20:00Z', 400, 20000, seed => 8);
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
is(sql($node, $total), $n + 800, 'and late ones');
is(sql($node, rollup_differences('1d', $begin{'1d'}, '2026-02-20')), '',
	'days whose hours are there are those of the new zone');

# --- a dump -----------------------------------------------------------------------
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
my $digest = join ' UNION ALL ', map {
	"SELECT md5(string_agg(concat_ws(' ', bucket, sensor_id, zone, n, min, max, first, last, n_bad,"
	  . " n_warning, n_critical, round(avg::numeric, 9), round(stddev::numeric, 7)), '|'"
	  . " ORDER BY bucket, sensor_id, zone)) FROM factorymon.readings_$_" }
  sort keys %begin;
produce($node, '2026-03-01T00:00:00Z', 200, 30, seed => 9);
sql($node, "SELECT factorymon.pause('sensor-data')");
ok(poll_until($node, <<'QUERY', 't'), 'paused');
SELECT bool_and(state = 'paused') FROM factorymon.partition_status()
QUERY
my $before = sql($node, $digest);
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('factory') ], 'pg_dump');
$node->stop;
my $restored = new_node(name => 'restored', extension => 0);
$restored->safe_psql('postgres', 'CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN');
$restored->command_ok([ 'pg_restore', '-1', '-d', $restored->connstr('factory'), $dump ],
	'pg_restore');
is(sql($restored, $digest), $before, 'rollups are as they were');
sql($restored, "SELECT factorymon.resume('sensor-data')");
ok(running($restored, 2, 90), 'it goes on');
produce($restored, '2026-03-01T03:00:00Z', 400, 30, seed => 10);
sql($restored, "SELECT _factorymon.merge_rollups('sensor-data')");
is(sql($restored, rollup_differences($_, $begin{$_}, '2026-02-20')), '', "restored: $_")
  foreach sort keys %begin;
is(sql($restored, $total), $n + 1400, 'with what was pending');

# --- days ---------------------------------------------------------------------------
sql($restored, "SELECT factorymon.set_retention('sensor-data', '$_', '1 second')")
  foreach qw(minutes hours days);
ok(poll_while('what has expired', sub {
	sql($restored, "SELECT _factorymon.drop_expired('sensor-data')");
	return sql($restored, "SELECT count(*) FROM _factorymon.rollup_1m"
		  . " WHERE bucket < '2026-02-01'") == 0;
}), 'the rest goes');
is(sql($restored, q{SELECT count(*) FROM factorymon.verify_delivery('sensor-data')}), 0,
	'which is nothing to the readings');

$restored->stop;
$broker->stop;
done_testing();
