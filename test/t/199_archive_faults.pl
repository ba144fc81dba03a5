
# What the archive must survive: disks that are full, processes that are killed,
# none that is free, clocks that are changed; and who may ask for what.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonArchive;
use FactorymonCheck;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;

my $folder = archive_folder();
my ($node, $broker) = archive_plant(conf => "factorymon.restart_delay_min = '2s'\n"
	  . "factorymon.restart_delay_max = '2s'\n");

sub failed
{
	my ($pattern) = @_;

	archive_turn($node);
	return sql($node, q{SELECT coalesce(max(error), '') FROM factorymon.archives
		WHERE state = 'failed' AND retry_at IS NOT NULL}) =~ $pattern;
}
# Something is put in the way while nobody writes.
sub meanwhile
{
	my ($change) = @_;

	sql($node, q{SELECT factorymon.set_archive('plant / ä', false)});
	poll_until($node, q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'factorymon archiver'}, 0) or die 'the archiver did not end';
	$change->();
	return;
}

# --- disk full ----------------------------------------------------------------------
# The temporary file of the oldest hour: the error tells which it is.
chmod 0555, $folder;
archive_turn($node);
ok(poll_while('an error', sub { return failed(qr/could not create/) }), 'nothing can be written');
my ($temporary) = sql($node, q{SELECT error FROM factorymon.archives
	WHERE state = 'failed' ORDER BY range_from LIMIT 1}) =~ /"([^"]+\.tmp)"/;
like($temporary, qr{^\Q$folder\E/factory_plant%20.*\.csv\.gz\.tmp$}, 'a file has a temporary name');
meanwhile(sub {
	chmod 0755, $folder;
	symlink '/dev/full', $temporary or die "$temporary: $!";
});
archive_turn($node);
sql($node, q{SELECT factorymon.alter_pipeline('plant / ä', retention => '1 day')});
ok(poll_while('the error', sub { return failed(qr/could not write archive file "\Q$temporary\E": No space left on device/) }),
	'a disk that is full is seen');
chmod 0555, $folder;			# and so it stays
my ($attempts, $wait) = split /\|/, sql($node, q{SELECT attempts, retry_at - clock_timestamp() < interval '3 seconds'
	FROM factorymon.archives WHERE state = 'failed' ORDER BY range_from LIMIT 1});
cmp_ok($attempts, '>', 0, 'attempts are counted');
is($wait, 't', 'another one is near');
is(sql($node, qq{SELECT count(*) > 0 FROM _factorymon.reading r JOIN factorymon.archives x
	ON r.ts >= x.range_from AND r.ts < x.range_to WHERE x.state = 'failed'}), 't',
	'its readings stay');
ok(poll_until($node, q{SELECT waiting_for LIKE '%it is not archived yet%' FROM factorymon.retention
	WHERE level = 'readings'}, 't', 90), 'retention says what it waits for');

# --- killed in the middle of a file ----------------------------------------------------
# A folder with the same files, and a pipe for the one that is to be written.
my $next = "$folder.next";
mkdir $next or die "$next: $!";
link $_, $_ =~ s/^\Q$folder\E/$next/r or die "$_: $!" foreach glob "$folder/*";
mkfifo($temporary =~ s/^\Q$folder\E/$next/r, 0600) or die "$temporary: $!";
rename $folder, "$folder.before" or die "$folder: $!";
rename $next, $folder or die "$next: $!";
ok(poll_while('an archiver', sub { archive_turn($node); return sql($node, q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'factorymon archiver' AND xact_start < clock_timestamp() - interval '100 ms'}) }),
	'one is about to write');
is(sql($node, q{SELECT count(*) FROM factorymon.archives WHERE state = 'archived' AND file = '}
	. ($temporary =~ s{.*/(.*)\.tmp$}{$1}r) . q{'}), 0, 'what it is at does not count');
my $pid = sql($node, q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'factorymon archiver'});
# what it leaves; nobody else is to open the pipe, which would be for ever
unlink $temporary;
put_file($temporary, 'half a file');
kill 'KILL', $pid;
ok(poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0), 'it is killed');
ok(poll_while('all to go', sub { archive_turn($node); return archive_total($node) == 0 }),
	'the next one writes it, and all is dropped');
is(scalar(() = glob "$folder/*.tmp"), 0, 'nothing half written is left');
is(sql($node, q{SELECT sum(rows) FROM factorymon.archives WHERE range_to < now() - interval '2 days'}),
	4000, 'the files have every row');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_archive('plant / ä') WHERE problem IS NOT NULL}), 0,
	'as it was');
is(sql($node, q{SELECT count(*) FROM factorymon.verify_delivery('plant / ä')}), 0, 'nothing is lost');

# --- a file that is gone, a header that is another ---------------------------------------
my ($file) = glob "$folder/*.csv.gz";
my ($header) = map { s/csv\.gz$/header.json/r } $file;
rename $file, "$file.elsewhere";
like(sql($node, q{SELECT string_agg(problem, ' ') FROM factorymon.verify_archive('plant / ä')}),
	qr/^archive file "\Q$file\E" cannot be read: No such file or directory$/, 'a file that is gone is named');
rename "$file.elsewhere", $file;
my $text = slurp_file($header);
put_file($header, $text =~ s/UTC/CET/r);
like(sql($node, q{SELECT string_agg(problem, ' ') FROM factorymon.verify_archive('plant / ä')}),
	qr/^archive file "\Q$header\E" is damaged$/, 'and a header that is another one');
put_file($header, $text);

# --- every example of docs/archive.md, of this pipeline and these days ---------------------
my $page = slurp_file(repo_path('docs/archive.md'));
my @examples = map { split /(?<=;)[^\n]*\n/ } $page =~ /^```sql\n(.*?)^```$/msg;
cmp_ok(scalar @examples, '>', 8, 'there are examples');
foreach my $example (@examples)
{
	my $query = $example =~ s{'sensor-data'}{'plant / ä'}gr;
	$query =~ s{'2026-01-01'}{now() - interval '5 days'}g;
	$query =~ s{'2026-01-08'}{now() - interval '2 days'}g;
	my ($rc, undef, $err) = $node->psql('factory', $query);

	is("$rc$err", '0', $example =~ s/\s+/ /gr);
}
sql($node, q{SELECT factorymon.set_retention('plant / ä', 'readings', NULL)});
ok(poll_while('all to go', sub { archive_turn($node); return archive_total($node) == 0 }),
	'what they restored and released goes again');

# --- days of 23, 24 and 25 hours -----------------------------------------------------------
create_pipeline($node, $broker, name => 'days', topic => 'days', accept_past => '400 days',
	consumer_group => 'days');
my %hours;
foreach my $change ('spring', 'autumn')
{
	# the last day of the last year on which clocks in Lisbon were changed so
	my ($day, $hours) = split /\|/, sql($node, qq{
		SELECT d::date, extract(epoch FROM (d + interval '1 day')::timestamp AT TIME ZONE 'Europe/Lisbon'
			- d::timestamp AT TIME ZONE 'Europe/Lisbon') / 3600
		FROM generate_series(now()::date - 380, now()::date - 10, interval '1 day') AS d
		WHERE extract(epoch FROM (d + interval '1 day')::timestamp AT TIME ZONE 'Europe/Lisbon'
			- d::timestamp AT TIME ZONE 'Europe/Lisbon') / 3600
			= @{[ $change eq 'spring' ? 23 : 25 ]} ORDER BY d DESC LIMIT 1});

	$hours{$day} = $hours + 0;
	run_producer(kafka => $broker, topic => 'days', sensors => 1, rate => 0, count => 300,
		heartbeat => 0, sampling_interval => 600, start =>
		sql($node, qq{SELECT to_char(date '$day' - interval '10 hours', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')}));
}
ok(poll_until($node, q{SELECT count(*) FROM _factorymon.reading r JOIN _factorymon.pipeline USING (pipeline_id)
	WHERE name = 'days'}, 600), 'readings around both changes');
sql($node, q{SELECT factorymon.set_archive('days', true, time_zone => 'Europe/Lisbon', at => '0')});
foreach my $day (sort keys %hours)
{
	ok(poll_while("files of $day", sub {
		sql($node, q{SELECT factorymon.set_archive('days', true)});
		return sql($node, qq{SELECT coalesce(sum(extract(epoch FROM range_to - range_from)) / 3600, 0)::int
			FROM factorymon.archives WHERE pipeline = 'days' AND state = 'archived'
			AND range_from >= '$day'::timestamp AT TIME ZONE 'Europe/Lisbon'
			AND range_to <= ('$day'::date + 1)::timestamp AT TIME ZONE 'Europe/Lisbon'}) == $hours{$day} }),
		"files of $day cover its $hours{$day} hours");
	is(sql($node, qq{SELECT sum(rows) FROM factorymon.archives WHERE pipeline = 'days'
		AND range_from >= '$day'::timestamp AT TIME ZONE 'Europe/Lisbon'
		AND range_to <= ('$day'::date + 1)::timestamp AT TIME ZONE 'Europe/Lisbon'}),
		$hours{$day} * 6, 'with a reading for each ten minutes');
}
ok(poll_while('all', sub {
	sql($node, q{SELECT factorymon.set_archive('days', true)});
	return sql($node, q{SELECT sum(rows) FROM factorymon.archives WHERE pipeline = 'days'}) == 600 }),
	'no reading is in two files, or in none');

# --- days of another zone: restored by a range all the same ------------------------------------
run_producer(kafka => $broker, topic => 'days', sensors => 1, rate => 0, count => 20, heartbeat => 0);
ok(poll_until($node, q{SELECT count(*) FROM _factorymon.reading r JOIN _factorymon.pipeline USING (pipeline_id)
	WHERE name = 'days'}, 620), 'readings of now');
sql($node, q{SELECT factorymon.set_archive('days', true, time_zone => 'Asia/Kolkata')});
my $days = q{FROM factorymon.archives WHERE pipeline = 'days' AND range_to < now() - interval '2 days'};
ok(poll_while('files', sub {
	sql($node, q{SELECT factorymon.set_archive('days', true)});
	return sql($node, "SELECT count(*) FILTER (WHERE range_from AT TIME ZONE 'Asia/Kolkata' <> date_trunc('day',
		range_from AT TIME ZONE 'Asia/Kolkata') AND extract(hour FROM range_from AT TIME ZONE 'UTC') <> 0),
		coalesce(sum(rows), 0) $days") eq '0|600' }),
	'days of another zone take the place of the former');
sql($node, q{SELECT factorymon.set_retention('days', 'readings', '2 days')});
ok(poll_while('all to go', sub {
	$node->psql('factory', "SELECT _factorymon.drop_expired('days')");
	sql($node, q{SELECT factorymon.set_archive('days', true)});
	return sql($node, q{SELECT count(*) FROM _factorymon.reading r JOIN _factorymon.pipeline USING (pipeline_id)
		WHERE name = 'days' AND ts < now() - interval '4 days'}) == 0 }), 'all are dropped');
is(sql($node, q{SELECT factorymon.restore_archive('days', '-infinity', now() - interval '4 days')}), 600,
	'and restored by one range');
sql($node, q{SELECT factorymon.set_retention('days', 'readings', '0')});

# --- what befalls one pipeline does not befall another ------------------------------------------
sql($node, q{UPDATE _factorymon.archive_setting SET time_zone = 'Nowhere/Else' WHERE pipeline_id =
	(SELECT pipeline_id FROM _factorymon.pipeline WHERE name = 'plant / ä')});
sql($node, q{UPDATE _factorymon.archive SET state = 'stale' WHERE pipeline_id =
	(SELECT pipeline_id FROM _factorymon.pipeline WHERE name = 'days') AND rows > 0 AND open});
ok(poll_while('files', sub {
	sql($node, q{SELECT factorymon.set_archive('days', true)});
	return sql($node, q{SELECT count(*) FROM _factorymon.archive WHERE state = 'stale'}) == 0 }),
	'a zone that is gone does not keep others from their archive');
like(slurp_file($node->logfile), qr/time zone "Nowhere\/Else" not recognized.*archive of pipeline "plant/s, 'but is logged');
sql($node, q{UPDATE _factorymon.archive_setting SET time_zone = 'UTC'});

# --- switched on by its first call: looked at like that -------------------------------------------
create_pipeline($node, $broker, name => 'third', topic => 'days', consumer_group => 'third');
$node->append_conf('postgresql.conf', "factorymon.archive_directory = '/no/such/folder'\n");
$node->reload;
ok(poll_until($node, 'SHOW factorymon.archive_directory', '/no/such/folder'), 'the folder is gone');
my ($first, undef, $why) = $node->psql('factory', q{SELECT factorymon.set_archive('third')});
isnt($first, 0, 'an archive without a folder is refused');
like($why, qr{could not look at archive file "/no/such/folder"}, 'with the reason');
$node->append_conf('postgresql.conf', "factorymon.archive_directory = '$folder'\n");
$node->reload;
ok(poll_until($node, 'SHOW factorymon.archive_directory', $folder), 'it is back');

# --- a pipeline that is dropped while a file of it is written ----------------------------------------
my ($third) = sql($node, q{SELECT pipeline_id FROM _factorymon.pipeline WHERE name = 'third'});
sql($node, q{SELECT _factorymon.ensure_partition('third', 'reading', now() - interval '3 days')});
sql($node, qq{INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id, sensor_version_id,
	pipeline_id, reading_index, level, flags) SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '3 days'
	+ i * interval '100 ms', i, i, 1, 1, 1, $third, 0, 0, 0 FROM generate_series(1, 600000) i});
sql($node, q{SELECT factorymon.set_archive('third', true, at => '0', time_zone => 'UTC')});
ok(poll_until($node, q{SELECT count(*) > 0 FROM pg_stat_activity a JOIN pg_locks l USING (pid)
	WHERE a.backend_type = 'factorymon archiver' AND l.granted AND a.xact_start < clock_timestamp() - interval '200 ms'
	AND l.relation = } . "'_factorymon.reading_$third'::regclass", 't'), 'a large file is being written');
sql($node, q{SELECT factorymon.drop_pipeline('third')});
is(sql($node, q{SELECT count(*) FROM factorymon.archives WHERE pipeline = 'third'}), 0, 'its pipeline goes nevertheless');
is(scalar(() = glob "$folder/*third*.tmp"), 0, 'and leaves no half a file');

# --- who may what ----------------------------------------------------------------------------
sql($node, 'CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN;');
sql($node, q{SELECT factorymon.grant_access('reader', 'reader')});
sub as
{
	my ($role, $query) = @_;
	my ($rc, $out, $err) = $node->psql('factory', $query, extra_params => [ '-U', $role ]);

	return $rc == 0 ? $out : $err;
}
like(as('reader', q{SELECT count(*) > 0 FROM factorymon.archives}), qr/^t$/, 'a reader sees the files');
like(as('reader', "SELECT factorymon.$_"), qr/permission denied/, "but not: $_")
  foreach q{set_archive('days', false)}, q{restore_archive('days', '-infinity', 'infinity')},
  q{release_archive('days')}, q{verify_archive('days')}, q{set_retention('days', 'readings', '1 day')};
like(as('stranger', 'SELECT count(*) FROM factorymon.archives'), qr/permission denied/, 'a stranger sees none');

# --- nobody to do it ------------------------------------------------------------------------
# workers of both pipelines, launcher, supervisor, logical replication's launcher, publishers
my $needed = sql($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'factorymon %'
	AND backend_type <> 'factorymon archiver'}) + 1;
$node->append_conf('postgresql.conf', "max_worker_processes = $needed\n");
sql($node, q{SELECT factorymon.set_archive('days', false); SELECT factorymon.set_archive('plant / ä', false)});
$node->restart;
ok(poll_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'factorymon %'},
	$needed - 1), 'all run, and no process is free');
produce_history($broker, sensors => 1, count => 20, seed => 9, sampling_interval => 1,
	start => sql($node, q{SELECT to_char(now() - interval '3 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')}));
ok(poll_while('late readings', sub { return archive_total($node) > 0 }), 'readings of then come');
sql($node, q{SELECT factorymon.set_archive('plant / ä', true)});
ok(poll_while('the error', sub { return failed(qr/no background worker is free for the archiver/) }),
	'that nobody can archive them is seen');
cmp_ok(archive_total($node), '>', 0, 'and they stay');

$node->stop;
$broker->stop;
done_testing();
