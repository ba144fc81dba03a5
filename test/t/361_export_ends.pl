# How exports end: with a whole file, or with none.  Servers that go, signals,
# disks that are full, readers of a pipe that go; the one moment of which all
# rows are; rights; wrong usage; memory.  What is in the files: 360_export.pl.
#
# With FACTORYMON_LONG=1 also ten million rows, in ten full sheets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonExport;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $dir = PostgreSQL::Test::Utils::tempdir();
my $broker = start_broker(topics => ['sensor-data:1']);
my $node = new_node();
my $rows = 240_000;

create_pipeline($node, $broker, workers => 1, options => quick_options(),
	alert_topic => '', partition_interval => '30 days');
watcher($node);
sql($node, 'CREATE ROLE nobody LOGIN');
# one partition, whose rows all come by one COPY, and an empty one
add_days($node, '2026-11-02', '2026-12-20');
insert_readings($node, q{SELECT 'sensor-' || n FROM generate_series(1, 100) n},
	<<"QUERY");
SELECT timestamptz '2026-11-01 00:00+00' + n / 100 * interval '86.4 s',
	n % 977 / 10.0, 'sensor-' || n % 100 + 1
FROM generate_series(0, $rows - 1) n
QUERY
sql($node, 'ANALYZE');

# The session of an export, without the workers that help it to sort.
my $session = q{pg_stat_activity WHERE application_name = 'factorymon-export'
	AND backend_type = 'client backend'};

# What is in the folder, hidden files included.
sub folder
{
	opendir(my $handle, $dir) or die "$dir: $!\n";
	my @names = sort grep { !/^\.{1,2}$/ } readdir $handle;
	closedir $handle;
	return "@names";
}

# halfway($name, @arguments): an export that has stopped in the middle: the server
# waits for it to read on.
sub halfway
{
	my ($name, @arguments) = @_;
	my $process = start_export($node, @arguments, '-o', "$dir/$name");
	my $begun = "SELECT count(*) FROM $session AND query ~ '^COPY'";

	# text is written as it comes, and might have come before a query is answered
	if ($name =~ /csv$/)
	{
		until (grep({ -s $_ } glob "$dir/.$name.*") || !$process->running)
		{
			Time::HiRes::usleep(1000);
		}
		$process->kill('STOP');
	}
	ok(poll_until($node, $begun, 1), "$name: it has begun");
	$process->kill('STOP');
	ok(poll_until($node, "SELECT wait_event FROM $session", 'ClientWrite'),
		"$name: it is in the middle");
	like(folder(), qr/(^| )\.\Q$name\E\.\w{6}( |$)/, "$name: beside the file");
	return $process;
}

# failed($result, $code, $reason, $name): there is nothing but what was there
sub failed
{
	my ($result, $code, $reason, $name) = @_;

	is($result->{rc}, $code, "$name: exit code $code");
	like($result->{stderr}, $reason, "$name: says why");
	is(folder(), 'old.csv', "$name: leaves nothing");
	is(substr(slurp_file("$dir/old.csv"), 0, 9), "old\n",
		"$name: what was there stays");
	return;
}

append_to_file("$dir/old.csv", "old\n");

# The server goes, in the middle.
foreach my $name ('old.csv', 'new.xlsx')
{
	my $process = halfway($name);

	is(sql($node, "SELECT count(pg_terminate_backend(pid)) FROM $session"), 1,
		"$name: its session ends");
	$process->kill('CONT');
	failed($process->wait, 1,
		qr/^factorymon-export: cannot read on: .*closed the connection/s,
		"$name, server gone");
}

# Signals.
foreach ([ 'INT', 130 ], [ 'TERM', 143 ])
{
	my ($signal, $code) = @$_;
	my $offset = -s $node->logfile;
	my $process = halfway('old.csv');

	$process->kill($signal);
	$process->kill('CONT');
	failed($process->wait, $code, qr/\A\z/, "SIG$signal");
	ok(wait_for_log($node, qr/canceling statement due to user request/, $offset),
		"SIG$signal: the query was cancelled");
	ok(poll_until($node, "SELECT count(*) FROM $session", 0),
		"SIG$signal: no session stays");
}

# While the library makes the workbook, after the last row.
{
	my $process = start_export($node, '--progress', '-o', "$dir/new.xlsx");

	ok(FactorymonTest::poll_while('the workbook being made', sub {
				$process->stderr =~ /making the workbook/ || !$process->running }),
		'a workbook is being made');
	$process->kill('INT');
	failed($process->wait, 130, qr/making the workbook$/, 'SIGINT then');
}

# A disk that is full: where the file goes, and where temporary files go.
foreach my $kib (64, 3000, 12000)
{
	foreach my $name ('old.csv', 'new.xlsx')
	{
		# the text is 20 MB, and so is the XML; the workbook is half as large
		my $process = FactorymonTest::Process->start(
			[ 'bash', '-c', "ulimit -f $kib; exec \"\$@\"", 'bash',
				export_program(), '-o', "$dir/$name" ],
			env => { DATABASE_URL => export_url($node) });

		failed($process->wait(120), 1, qr/File too large/,
			"$name, room for $kib KiB");
	}
}
{
	my $result = export($node, '-o', "$dir/none/new.csv");

	failed($result, 1, qr/cannot make a file beside .*No such file/, 'no folder');
	failed(export($node, '-o', $dir, '--format', 'csv'), 1,
		qr/cannot write .*Is a directory/, 'a folder');
}

# A pipe that nobody reads any more.
{
	my $result = run_program([ 'bash', '-c',
			'"$@" -o - | head -n 1; exit ${PIPESTATUS[0]}', 'bash',
			export_program() ], env => { DATABASE_URL => export_url($node) });

	is($result->{stdout} =~ tr/\n//, 1, 'a line is read');
	failed($result, 1, qr/cannot write "-": Broken pipe/, 'the reader goes');
}

# Rights, and a server that is not there.
failed(FactorymonTest::Process->start([ export_program(), '-d',
			export_url($node, 'nobody'), '-o', "$dir/old.csv" ])->wait, 1,
	qr/permission denied/, 'no rights');
failed(run_program([ export_program(), '-d', 'host=/nowhere', '-o',
			"$dir/old.csv" ]), 1, qr/cannot connect: .*nowhere/, 'no server');

# Wrong usage.
foreach (
	[ qr/where to\?/ ],
	[ qr/--format csv or xlsx\?/, '-o', "$dir/file" ],
	[ qr/XLSX needs a file/, '-o', '-', '--format', 'xlsx' ],
	[ qr/no password on the command line/, '-d', 'postgresql://a:secret@h/d' ],
	[ qr/no password on the command line/, '-d', 'host=h password=secret' ],
	[ qr/nothing of that name/, 'weather' ],
	[ qr/unexpected argument/, 'readings', 'alarms' ],
	[ qr/unrecognized option/, '--what' ],
	[ qr/--from: "soon"/, '--from', 'soon' ],
	[ qr/--from: "2026-11-1"/, '--from', '2026-11-1' ],
	[ qr/--to: "-7q"/, '--to', '-7q' ],
	[ qr/--from: "now' OR true"/, '--from', "now' OR true" ],
	[ qr/out of range: "2026-02-31"/, '--from', '2026-02-31' ],
	[ qr/no time from .* to before/, '--from', '2026-11-02', '--to', '2026-11-01' ],
	[ qr/--on: "2026-1"/, '--on', '2026-1' ],
	[ qr/--on goes without/, '--on', '2026', '--to', 'now' ],
	[ qr/"Mars\/Base"/, '--time-zone', 'Mars/Base' ],
	[ qr/--level: "bad"/, '--level', 'bad' ],
	[ qr/--at-least: "bad"/, '--at-least', 'bad' ],
	[ qr/readings have no column "tss"/, '--columns', 'tss' ],
	[ qr/readings have no column ""/, '--columns', 'ts,' ],
	[ qr/rejects cannot be chosen by --sensor/, 'rejects', '--sensor', 'a' ],
	[ qr/--delimiter: "ab"/, '--delimiter', 'ab' ],
	[ qr/--delimiter: """/, '--delimiter', '"' ],
	[ qr/--sheet-rows: "1048576"/, '--sheet-rows', 1048576 ],
	[ qr/--sheet-rows: "0"/, '--sheet-rows', 0 ])
{
	my ($reason, @arguments) = @$_;
	my @output = grep({ $_ eq '-o' } @arguments) || $reason =~ /where to/
	  ? () : ('-o', "$dir/old.csv");
	my $result = export($node, @arguments, @output);

	failed($result, 2, $reason, "@arguments");
	unlike($result->{stderr}, qr/secret/, '... and no password');
}

# What is found is as it was at one moment, though all goes on meanwhile.
{
	my $process = halfway('new.csv', '--header', 'none');

	sql($node, q{INSERT INTO _factorymon.reading SELECT ts, -kafka_offset, value,
		sensor_id, stream_id, sensor_version_id, reading_count, quality,
		pipeline_id, reading_index, level, flags, extra FROM _factorymon.reading
		WHERE ts > '2026-11-02 12:00+00'});
	my $rc = $node->psql('factory', q{SET lock_timeout = '100ms';
		DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || max(inhrelid::regclass::text)
			FROM pg_inherits WHERE inhparent = '_factorymon.reading_1'::regclass);
		END $$}, stderr => \my $error, on_error_stop => 1);
	like($error, qr/lock timeout/, 'its partitions cannot be dropped meanwhile');
	$process->kill('CONT');
	is($process->wait->{rc}, 0, 'it ends well');
	is(slurp_file("$dir/new.csv") =~ tr/\n//, $rows,
		'what came later is not in it');
	cmp_ok(sql($node, 'SELECT count(*) FROM _factorymon.reading'), '>', $rows,
		'though there is something');
	is(folder(), 'new.csv old.csv', 'nothing else is left');
	unlink "$dir/new.csv";
	sql($node, 'DELETE FROM _factorymon.reading WHERE kafka_offset < 0');
}

# Who drops a partition was first, but had not committed: it is waited for, and
# then all is of a later moment.
{
	my $holder = $node->background_psql('factory');

	$holder->query_safe(q{BEGIN; DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE '
		|| max(inhrelid::regclass::text) FROM pg_inherits
		WHERE inhparent = '_factorymon.reading_1'::regclass); END $$});
	my $process = start_export($node, '-o', "$dir/new.csv", '--columns', 'value',
		'--header', 'none');

	ok(poll_until($node, "SELECT wait_event_type FROM $session", 'Lock'),
		'it waits for a lock');
	$holder->query_safe('COMMIT');
	is($process->wait->{rc}, 0, 'and ends well');
	is(slurp_file("$dir/new.csv") =~ tr/\n//, $rows, 'with what is there');
	unlink "$dir/new.csv";
	$holder->quit;
}

# Files.
{
	my $file = "$dir/old.csv";
	my @little = ('--on', '2026-11-01', '--sensor', 'sensor-7', '--columns', 'value');

	chmod 0640, $file;
	symlink $file, "$dir/link.csv";
	is(export($node, @little, '-o', "$dir/link.csv")->{rc}, 0, 'through a link');
	ok(-l "$dir/link.csv" && !-l $file, 'which stays one');
	my $text = slurp_file($file);
	like($text, qr/^Value\r\n\d/, 'to its file');
	is((stat $file)[2] & 0777, 0640, 'whose mode stays');
	umask 027;
	export($node, @little, '-o', "$dir/new.csv");
	is((stat "$dir/new.csv")[2] & 0777, 0640, 'a new file has the usual one');
	system 'mkfifo', "$dir/pipe";
	my $reader = FactorymonTest::Process->start([ 'cat', "$dir/pipe" ]);
	is(export($node, @little, '-o', "$dir/pipe", '--format', 'csv')->{rc}, 0,
		'into a pipe');
	is($reader->wait->{stdout}, $text, 'which is read');
	ok(-p "$dir/pipe", 'and stays one');
	is(export($node, @little, '-o', '-')->{stdout}, $text, 'to standard output');
	unlink map { "$dir/$_" } qw(link.csv new.csv pipe);

	my $result = export($node, '--sensor', 'nobody', '-o', $file);
	is($result->{rc}, 0, 'nothing found: that is no error');
	is($result->{stderr}, "factorymon-export: nothing was found\n", 'it says so');
	is(slurp_file($file) =~ tr/\n//, 1, 'the file has titles');
	is(export($node, '--sensor', 'nobody', '-o', $file, '--quiet')->{stderr}, '',
		'unless it is to be quiet');
	is(export($node, '--sensor', 'nobody', '-o', "$dir/none.xlsx")->{rc}, 0,
		'the same as a workbook');
	is(join(' ', map { "$_->[0]:$_->[1]" } xlsx_counts("$dir/none.xlsx")),
		'Readings:1 About:' . (xlsx_counts("$dir/none.xlsx"))[1][1],
		'which can be read');
	$result = run_program([ export_program(), @little, '-o', $file, '--progress' ],
		env => { PGHOST => $node->host, PGPORT => $node->port,
			PGDATABASE => 'factory', PGUSER => 'watcher', PGTZ => 'Asia/Tokyo' });
	is($result->{rc}, 0, "by libpq's usual settings");
	like($result->{stderr}, qr{^625 rows, [\d,]+ rows/s, \d+\.\d s$}, 'progress, of a day in Japan');
	like(run_program([ export_program(), @little, '-o', '-', '--columns', 'ts' ],
			env => { DATABASE_URL => export_url($node),
				MONITORING_TIME_ZONE => 'Asia/Tokyo' })->{stdout},
		qr/^Time \(Asia\/Tokyo\)\r\n2026-11-01T09:00:00.000000\+09:00\r\n/,
		"the plant's time zone");
}
like(run_program([ export_program(), '--help' ])->{stdout},
	qr/^Usage:.*Exit codes:/s, '--help');
like(run_program([ export_program(), '--version' ])->{stdout},
	qr/^factorymon-export \d/, '--version');

# peak($file, @arguments): KiB
sub peak
{
	my ($file, @arguments) = @_;
	my $result = run_program([ repo_path('test/peak-memory'), "$dir/peak",
			export_program(), @arguments, '-o', $file ], timeout => 1800,
		env => { DATABASE_URL => export_url($node) });

	is($result->{rc}, 0, "$file is written");
	note sprintf '%.1f s', $result->{seconds};
	return slurp_file("$dir/peak") + 0;
}

foreach my $format (qw(csv xlsx))
{
	my @peak = map { peak("$dir/$_->[0].$format", '--to', $_->[1]) }
	  [ 'little', '2026-11-01T00:01:26Z' ], [ 'much', '2026-11-04T00:00Z' ];

	note "$format: @peak KiB";
	cmp_ok(-s "$dir/much.$format", '>', 50 * -s "$dir/little.$format",
		"$format: one is much larger")
	  if $format eq 'csv';
	cmp_ok($peak[1], '<', $peak[0] + 3072,
		"$format: memory does not grow with the rows");
}

SKIP:
{
	skip 'takes minutes (FACTORYMON_LONG=1)', 1 unless $ENV{FACTORYMON_LONG};
	my $more = 10_000_000;

	sql($node, <<"QUERY");
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT timestamptz '2026-11-01' + n * interval '20 ms', 1000000 + n, n % 977 / 10.0,
	s.sensor_id, 1000, s.sensor_id, s.pipeline_id, 0, 0, 0
FROM generate_series(1, $more) n JOIN _factorymon.sensor s
	ON s.name = 'sensor-' || n % 100 + 1;
ANALYZE;
QUERY
	my $all = sql($node, 'SELECT count(*) FROM _factorymon.reading');
	my $little = peak("$dir/little.xlsx", '--to', '2026-11-01T00:01:26Z');
	my $csv = peak("$dir/long.csv");
	my $xlsx = peak("$dir/long.xlsx", '--columns', 'ts,sensor_id,value,kafka_offset');
	my @sheets = xlsx_counts("$dir/long.xlsx");
	my $last = pop @sheets;

	note "$all rows: CSV $csv KiB, XLSX $xlsx KiB, $little of a small one";
	cmp_ok($csv, '<', 20000, 'CSV: little memory');
	# a sheet of the library has some tables of its own
	cmp_ok($xlsx, '<', $little + 1024 * (@sheets + 3), 'XLSX: not much more');
	is(`wc -l < "$dir/long.csv"` + 0, $all + 1, 'every row, and titles');
	is($last->[0], 'About', 'the last sheet is About');
	cmp_ok(scalar @sheets, '>=', 10, 'full sheets');
	is(join(' ', map { $_->[1] } @sheets), join(' ', (1048576) x $#sheets,
			$all - 1048575 * $#sheets + 1), 'of every row that fits');
	is(join(' ', map { $_->[2][0][1] } @sheets),
		join(' ', ('Time (UTC)') x @sheets), 'each with titles');
	is(sprintf('%s %.15g', map { $_->[1] } @{ $sheets[-1][3] }[ 1, 3 ]),
		sql($node, q{SELECT s.name || ' ' || r.kafka_offset
			FROM _factorymon.reading r JOIN _factorymon.sensor s USING (sensor_id)
			ORDER BY r.ts DESC, s.name COLLATE "C" DESC, r.kafka_offset DESC LIMIT 1}),
		'the last row is the last one');
}

# All of the server goes.
{
	my $process = halfway('gone.csv');

	$node->stop('immediate');
	$process->kill('CONT');
	is($process->wait->{rc}, 1, 'the server has gone');
	unlike(folder(), qr/gone/, 'no file');
}
done_testing();
