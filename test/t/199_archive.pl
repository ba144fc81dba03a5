
# History files: written by a process of their own, compared before a partition
# is dropped, verified, restored with the same checksum and released; what is
# damaged is refused and named, and nothing is dropped that is not archived.

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
my $before = archive_sum($node);
sub total { return archive_total($node) }
sub turn { return archive_turn($node) }

sub fails
{
	my ($query, $error, $name) = @_;
	my ($rc, $out, $err) = $node->psql('factory', $query);

	isnt($rc, 0, "$name: refused");
	like($err, $error, $name);
	return;
}

# --- a folder that is not writable: visible, and nothing is dropped -----------
chmod 0555, $folder;
# (one of the partitions has no reading, and so needs no file to go)
sql($node, q{SELECT _factorymon.ensure_partition('plant / ä', 'reading',
	now() - interval '4 days')});
sql($node, q{SELECT factorymon.set_archive('plant / ä', time_zone => 'Europe/Berlin');
	SELECT factorymon.alter_pipeline('plant / ä', retention => '1 day')});
turn();
ok(poll_until($node, q{SELECT count(*) > 0 FROM factorymon.archives
	WHERE state = 'failed' AND error LIKE '%could not create archive file%' AND retry_at IS NOT NULL}, 't'),
	'a folder that cannot be written to is seen');
is(total(), 4000, 'and nothing is dropped');
ok(poll_while('the empty one to go', sub {
	turn();
	return sql($node, q{SELECT count(*) FROM factorymon.archives
		WHERE range_to < now() - interval '90 hours'}) == 0 }),
	'but what is empty is, and forgotten');

# --- what is in a file and then changed is written again ---------------------------
chmod 0755, $folder;
sql($node, q{SELECT factorymon.alter_pipeline('plant / ä', retention => '1 year')});
ok(poll_while('all to be archived', sub {
	turn();
	return sql($node, q{SELECT coalesce(sum(rows), 0) FROM factorymon.archives
		WHERE state = 'archived' AND range_to < now() - interval '2 days'}) == 4000 }),
	'once it can be, all is archived');
my $changed = sql($node, q{UPDATE _factorymon.reading SET value = value + 1 WHERE (tableoid, ctid) IN (
	SELECT tableoid, ctid FROM _factorymon.reading WHERE ts < now() - interval '2 days'
	ORDER BY ts LIMIT 1) RETURNING ts});
$before = archive_sum($node);

# --- written, dropped ------------------------------------------------------------
sql($node, q{SELECT factorymon.alter_pipeline('plant / ä', retention => '1 day')});
ok(poll_while('all to be archived and dropped', sub { turn(); return total() == 0 }), 'and dropped');
is(sql($node, qq{SELECT max(part) FROM factorymon.archives
	WHERE '$changed' >= range_from AND '$changed' < range_to}), 2, 'that file was written again');
ok(poll_until($node, q{SELECT count(*) FROM factorymon.archives WHERE state = 'superseded'}, 0),
	'what it took the place of is done with');
is(sql($node, q{SELECT sum(rows), count(*) FILTER (WHERE state <> 'archived') FROM factorymon.archives
	WHERE range_to < now() - interval '2 days'}),
	'4000|0', 'the files have every row');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_delivery('plant / ä')}), 0,
	'what went is expired, not lost');
my @files = glob "$folder/*.csv.gz";
ok(@files > 1, 'there are files');
like($files[0], qr{/factory_plant%20%2F%20%C3%A4_\d+-[0-9a-f]{8}_\d{4}-\d\d-\d\d_}, 'whose names are encoded');
is_deeply(\@files, [ map { "$folder/$_" } split /\n/, sql($node,
	q{SELECT file FROM factorymon.archives WHERE file IS NOT NULL ORDER BY file COLLATE "C"}) ],
	'they are the ones that are listed');
is(scalar(() = glob "$folder/*.tmp"), 0, 'none is half written');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_archive('plant / ä') WHERE problem IS NOT NULL}),
	0, 'all are as they were written');

# --- damaged: named, refused --------------------------------------------------------
my ($file) = sort { -s $b <=> -s $a } @files;
(my $short = $file) =~ s{.*/}{};
my $good = slurp_file($file);
my $damaged = $good;
substr($damaged, length($good) / 2, 1) ^= "\x01";
put_file($file, $damaged);
is(sql($node, q{SELECT file || '.csv.gz' FROM factorymon.verify_archive('plant / ä') WHERE problem IS NOT NULL}),
	$short, 'a damaged byte is found, and the file named');
fails(qq{SELECT factorymon.restore_archive('plant / ä', file => '$short')},
	qr/cannot restore: archive file ".*\Q$short\E" is damaged/, 'restoring it');
is(total(), 0, 'nothing of it is there');
put_file($file, $good);
(my $manifest = $file) =~ s/csv\.gz$/manifest.json/;
my $text = slurp_file($manifest);
(my $other = $text) =~ s/"rows": (\d+)/'"rows": ' . ($1 + 1)/e;
put_file($manifest, $other);
fails(qq{SELECT factorymon.restore_archive('plant / ä', file => '$short')},
	qr/cannot restore: archive file ".*manifest\.json" is damaged/, 'a damaged manifest');
put_file($manifest, $text);

# --- restored ------------------------------------------------------------------------
sub aside
{
	return sql($node, q{SELECT (SELECT md5(string_agg(m::text, '|' ORDER BY m::text)) FROM _factorymon.rollup_1m m),
		(SELECT count(*) FROM _factorymon.transition)});
}
my $aside = aside();
is(sql($node, q{SELECT factorymon.restore_archive('plant / ä', '-infinity', now() - interval '2 days')}), 4000,
	'one call restores all');
is(archive_sum($node), $before, 'every column of every row is what it was');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_delivery('plant / ä')}), 0,
	'and is accounted for');
fails(qq{SELECT factorymon.restore_archive('plant / ä', file => '$short')},
	qr/readings of its time are there/, 'restoring it twice');
fails(q{SELECT factorymon.restore_archive('plant / ä', file => 'no such')},
	qr/no archived file/, 'a file that is not known');
turn();
ok(poll_until($node, q{SELECT waiting_for LIKE '%restored from the archive%' FROM factorymon.retention
	WHERE level = 'readings'}, 't', 90), 'retention leaves it alone');
is(total(), 4000, 'so it is still there');
is(aside(), $aside, 'rollups and alarms are those of before');
sql($node, q{SELECT factorymon.release_archive('plant / ä')});
turn();
ok(poll_while('it to go', sub { turn(); return total() == 0 }), 'until it is released');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_delivery('plant / ä')}), 0,
	'it is expired again');

# --- rows that came after their file was written: a further, complete part ----------
sql($node, q{SELECT factorymon.alter_pipeline('plant / ä', retention => '1 year')});
my ($from) = $text =~ /"from": "([^"]+)"/;
sub late
{
	my ($n, $seed) = @_;
	produce_history($broker, sensors => 1, count => $n, seed => $seed,
		start => $from, sampling_interval => 1);
	return;
}
late(50, 8);
ok(poll_while('late readings', sub { return total() == 50 }), 'late readings come');
sql($node, q{SELECT factorymon.alter_pipeline('plant / ä', retention => '1 day')});
ok(poll_while('them to go', sub { turn(); return total() == 0 }), 'they are archived, and go');
is(sql($node, qq{SELECT part, rows, state FROM factorymon.archives
	WHERE range_from = '$from' ORDER BY part DESC LIMIT 1}),
	'2|50|archived', 'in a part of their own');
my $storage = '_factorymon.reading_' . sql($node, q{SELECT pipeline_id FROM _factorymon.pipeline});
$node->safe_psql('factory', "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
	IF NEW.kafka_offset % 10 = 1 THEN NEW.value := NEW.value + 1; END IF; RETURN NEW; END';
	CREATE TRIGGER bend BEFORE INSERT ON $storage FOR EACH ROW EXECUTE FUNCTION bend()");
fails(qq{SELECT factorymon.restore_archive('plant / ä', '$from', now() - interval '2 days')},
	qr/what was restored from archive file ".*" is not what was archived/, 'what comes back otherwise');
$node->safe_psql('factory', "DROP TRIGGER bend ON $storage; DROP FUNCTION bend");
is(sql($node, qq{SELECT factorymon.restore_archive('plant / ä', '$from',
	now() - interval '2 days')}), sql($node, qq{SELECT sum(rows) FROM factorymon.archives
	WHERE range_from >= '$from' AND range_to < now() - interval '2 days'}),
	'both parts of a range are restored');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_delivery('plant / ä')}), 0,
	'and accounted for');

# --- a dump of the database knows its files, and can have their readings back ----------
sql($node, q{SELECT factorymon.release_archive('plant / ä')});
ok(poll_while('it to go', sub { turn(); return total() == 0 }), 'released and dropped again');
my $rows = sql($node, q{SELECT sum(rows) FROM factorymon.archives WHERE range_to < now() - interval '2 days'});
my $dump = "$folder.dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('factory') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], 'pg_restore');
my $known = q{SELECT md5(string_agg(a::text, '|' ORDER BY a::text)) FROM _factorymon.archive a};
my @originals = sort glob "$folder/*";
is($node->safe_psql('copy', $known), sql($node, $known), 'the copy knows the files');
is($node->safe_psql('copy', 'SELECT enabled, at, time_zone FROM _factorymon.archive_setting'),
	sql($node, 'SELECT enabled, at, time_zone FROM _factorymon.archive_setting'), 'and the setting');
is($node->safe_psql('copy', q{SELECT factorymon.restore_archive('plant / ä', '-infinity', now() - interval '2 days')}),
	$rows, 'it gets the readings back');
$node->safe_psql('copy', q{UPDATE _factorymon.archive SET state = 'stale' WHERE restored_at IS NOT NULL});
# (there it runs from now on, but takes nothing from the one that it came from)
$node->safe_psql('copy', q{INSERT INTO _factorymon.pipeline_run (pipeline_id, system_identifier, database_oid, paused_at)
	SELECT p.pipeline_id, c.system_identifier, d.oid, now() FROM _factorymon.pipeline p, pg_control_system() c, pg_database d
	WHERE d.datname = current_database()});
$node->safe_psql('copy', q{SELECT factorymon.set_archive('plant / ä', true)});
ok(poll_while('files of the copy', sub {
	return $node->safe_psql('copy', q{SELECT count(*) > 0 AND count(*) FILTER (WHERE state <> 'superseded') = 0
		FROM factorymon.archives WHERE split_part(file, '_', 1) = 'factory'
		AND range_to < now() - interval '2 days' AND dropped_at IS NULL}) eq 't' }),
	'it writes files of its own');
my ($tag) = map { /_\d+(-[0-9a-f]{8})_/ } $originals[0];
is(scalar(grep { /\Q$tag\E/ } glob "$folder/copy_*"), 0, 'by names of its own');
is_deeply([ grep { !-e $_ } @originals ], [], 'and removes none of those that it is a copy of');

# --- a pipeline goes, its history stays --------------------------------------------------
my @before = map { $_ => -s $_ } sort glob "$folder/*";
sql($node, q{SELECT factorymon.drop_pipeline('plant / ä')});
is(sql($node, 'SELECT count(*) FROM factorymon.archives'), 0, 'a pipeline that is dropped has no files');
create_pipeline($node, $broker, name => 'plant / ä', accept_past => '10 days',
	partition_interval => '1 hour', consumer_group => 'again');
# (what comes when its file is written is in no file until retention asks)
ok(poll_while('them to be stored again', sub { return total() > 0 && lag_is_zero($node) }),
	'it reads the topic');
sql($node, q{SELECT factorymon.set_archive('plant / ä', true, time_zone => 'UTC', at => '0')});
ok(poll_while('files of the new pipeline', sub {
	sql($node, q{SELECT factorymon.set_archive('plant / ä', true)});
	return sql($node, q{SELECT coalesce(sum(rows), 0) FROM factorymon.archives WHERE state = 'archived'}) > 0 }),
	'another one of its name has files of its own');
is_deeply([ map { $_ => -s $_ } sort grep { my $f = $_; grep { $_ eq $f } @before } glob "$folder/*" ],
	\@before, 'those of the former one are as they were');
$node->stop;
$broker->stop;
done_testing();
