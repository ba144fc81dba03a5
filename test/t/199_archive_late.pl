
# Readings that come when the file of their day is written: noticed the night
# after, without looking at what nothing was written to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonArchive;
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = archive_folder();
my ($node, $broker) = archive_plant();

# The night has come for all files once more; what was compared by now.
sub another_night
{
	sql($node, q{UPDATE _factorymon.archive SET checked_at = checked_at - interval '2 days'});
	archive_turn($node);
	return;
}
sub compared
{
	return sql($node, q{SELECT count(*) FILTER (WHERE checked_at > now() - interval '1 day'), count(*)
		FROM _factorymon.archive WHERE open AND range_to < now() - interval '2 days'});
}
sub files { return [ map { s{.*/}{}r } sort glob "$folder/*.csv.gz" ] }
sub listed { return [ split /\n/, sql($node, q{SELECT file FROM factorymon.archives ORDER BY file COLLATE "C"}) ] }
sub late
{
	my ($when, %opt) = @_;
	my $before = archive_total($node);

	produce_history($broker, sensors => 1, count => 30, sampling_interval => 1, start => $when, %opt);
	return poll_while('late readings', sub { return archive_total($node) == $before + 30 });
}

sql($node, q{SELECT factorymon.set_archive('plant / ä', at => '0', time_zone => 'UTC')});
ok(poll_while('all to be archived', sub {
	archive_turn($node);
	return sql($node, q{SELECT coalesce(sum(rows), 0) FROM factorymon.archives
		WHERE state = 'archived' AND range_to < now() - interval '2 days'}) == 4000 }), 'all is archived');
my @hours = split /\n/, sql($node, q{SELECT to_char(range_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
	FROM factorymon.archives WHERE rows > 0 AND range_to < now() - interval '2 days' ORDER BY range_from});
cmp_ok(scalar @hours, '>=', 6, 'in some files');

# (statistics come a little later)
ok(poll_until($node, q{SELECT sum(pg_stat_get_tuples_inserted(inhrelid)) FROM pg_inherits
	WHERE inhparent = (SELECT '_factorymon.reading_' || pipeline_id FROM _factorymon.pipeline)::regclass}, 4040),
	'all is counted');

# --- all are compared where nothing is known ------------------------------------------
sql($node, 'UPDATE _factorymon.archive SET activity = NULL');
another_night();
ok(poll_while('all to be compared', sub {
	archive_turn($node);
	my ($compared, $all) = split /\|/, compared();
	return $compared == $all }), 'what nothing is known of is compared');
is(sql($node, q{SELECT max(part) FROM factorymon.archives}), 1, 'and not written again, being the same');

# --- late readings, and only there ------------------------------------------------------
ok(late($hours[3], seed => 8), 'readings of an hour that is archived come');
my $kept = files();
another_night();
my $hour = qq{FROM factorymon.archives WHERE range_from = '$hours[3]'};
ok(poll_while('the file', sub { archive_turn($node); return sql($node, "SELECT max(part) $hour") == 2 }),
	'a night later they are in a file');
is(sql($node, "SELECT rows $hour AND state = 'archived'"), sql($node, qq{SELECT count(*) FROM _factorymon.reading
	WHERE ts >= '$hours[3]' AND ts < timestamptz '$hours[3]' + interval '1 hour'}), 'with all readings of that hour');
is((split /\|/, compared())[0], 1, 'nothing else was compared, also of the time before');
ok(poll_until($node, q{SELECT count(*) FROM factorymon.archives WHERE state = 'superseded'}, 0),
	'the file before is done with');
is_deeply(files(), listed(), 'and gone');
is(scalar(@{ files() }), scalar(@$kept), 'so there are as many as before');

# --- as many readings, but others ---------------------------------------------------------
sql($node, qq{UPDATE _factorymon.reading SET value = value + 1 WHERE (tableoid, ctid) IN (
	SELECT tableoid, ctid FROM _factorymon.reading WHERE ts >= '$hours[2]' ORDER BY ts LIMIT 1)});
another_night();
ok(poll_while('the file', sub {
	archive_turn($node);
	return sql($node, qq{SELECT max(part) FROM factorymon.archives WHERE range_from = '$hours[2]'}) == 2 }),
	'a value that was changed is noticed, too');

# --- without statistics ----------------------------------------------------------------------
$node->append_conf('postgresql.conf', 'track_counts = off');
$node->reload;
ok(poll_until($node, 'SHOW track_counts', 'off'), 'nobody counts what is written');
ok(late($hours[4], seed => 9), 'readings of another hour come');
another_night();
ok(poll_while('the file', sub {
	archive_turn($node);
	return sql($node, qq{SELECT max(part) FROM factorymon.archives WHERE range_from = '$hours[4]'}) == 2 }),
	'they are noticed');

# --- what cannot be compared stays archived, and says so ------------------------------------------
sql($node, 'UPDATE _factorymon.archive SET activity = NULL');
$node->safe_psql('factory', q{CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RAISE ''no disk''; END';
	CREATE TRIGGER bend BEFORE UPDATE OF activity ON _factorymon.archive FOR EACH ROW EXECUTE FUNCTION bend()});
another_night();
ok(poll_until($node, q{SELECT count(*) > 0 FROM factorymon.archives WHERE state = 'archived'
	AND error = 'no disk' AND attempts > 0 AND retry_at IS NOT NULL}, 't', 90),
	'an error is seen, and the file is still one');
$node->safe_psql('factory', 'DROP TRIGGER bend ON _factorymon.archive; DROP FUNCTION bend');
ok(poll_while('it to be compared', sub {
	archive_turn($node);
	return sql($node, q{SELECT count(*) FROM factorymon.archives WHERE error IS NOT NULL}) == 0 }),
	'until it has been compared');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_archive('plant / ä') WHERE problem IS NOT NULL}), 0,
	'all files are as they were written');

$node->stop;
$broker->stop;
done_testing();
