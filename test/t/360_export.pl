# The export client: what it writes to CSV and XLSX, compared with queries over
# the base tables; read by Python's csv and openpyxl.  The role that exports may
# only read.  How exports end: 361_export_ends.pl.

use strict;
use warnings;
use utf8;

use Encode qw(encode_utf8);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonExport;
use FactorymonTest;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $zone = 'America/Sao_Paulo';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();

create_pipeline($node, $broker, workers => 2, options => quick_options(),
	alert_topic => '', partition_interval => '1 hour');
watcher($node);
is(run_producer(kafka => $broker, sensors => 12, rate => 0, count => 4000,
		seed => 5, start => '@' . (time - 3 * 3600), malformed => 0.01,
		record_time => 'event', heartbeat => 0, interval => 20)->{rc}, 0,
	'readings of some hours, rejects among them');
ok(caught_up($node, 4000), 'arrive');

# The same rows, by a query of our own over the base tables.
my $base = <<'QUERY';
_factorymon.reading r JOIN _factorymon.sensor s USING (sensor_id)
JOIN _factorymon.sensor_version v USING (sensor_version_id)
JOIN _factorymon.stream st USING (stream_id)
QUERY
my $order = 'ORDER BY r.ts, s.name COLLATE "C", st.kafka_partition, r.kafka_offset';
my $level = "(ARRAY['normal', 'warning', 'critical'])[(r.level & 3) + 1]";

# table($select [, $from [, $order]]): rows of that as arrays of texts; of
# readings, unless something else is said
sub table
{
	my ($select, $from, $by) = @_;

	$from //= $base;
	$by //= $order;

	return @{ decode_json(sql($node, <<"QUERY")) };
SET TimeZone = '$zone';
SELECT json_agg(x ORDER BY n)
FROM (SELECT ARRAY[$select]::text[] AS x, row_number() OVER ($by) AS n
	FROM $from) y
QUERY
}

# same($got, $expected, $name): tables, row by row
sub same
{
	my ($got, $expected, $name) = @_;
	my @lines = map { [ map { join "\x1f", @$_ } @$_ ] } $got, $expected;

	cmp_ok(scalar @$expected, '>', 0, "$name: there is something");
	is(scalar @$got, scalar @$expected, "$name: as many rows");
	my ($wrong) = grep { ($lines[0][$_] // '') ne ($lines[1][$_] // '') }
	  0 .. $#$expected;
	return is(defined $wrong ? $lines[0][$wrong] : '',
		defined $wrong ? $lines[1][$wrong] : '', "$name: each row");
}

# written($name, @arguments): the file, which came without a word
sub written
{
	my ($name, @arguments) = @_;
	my $file = "$dir/$name";
	my $result = export($node, '--time-zone', $zone, @arguments, '-o', $file);

	is($result->{rc}, 0, "$name: it is written");
	is($result->{stderr}, '', "$name: without a word");
	return $file;
}

my $iso = q{to_char(%s, 'YYYY-MM-DD"T"HH24:MI:SS.US"-03:00"')};
my $local = q{to_char((%s AT TIME ZONE '} . $zone
  . q{')::timestamp(3), 'YYYY-MM-DD"T"HH24:MI:SS.MS')};

#
# CSV
#
{
	my ($header, @rows) = csv_rows(written('all.csv'));

	is(join('|', @$header), "Time ($zone)|Sensor|Type|Value|Unit|Level|Section"
		  . '|Machine|Zone|Quality (0-1)', 'titles name zone and units');
	same(\@rows, [ table(sprintf($iso, 'r.ts') . <<"SQL") ], 'all readings');
, s.name, v.sensor_type, r.value, v.unit, $level, v.factory_section, v.machine_id,
v.zone, coalesce(r.quality::text, '')
SQL
	my $text = slurp_file("$dir/all.csv");
	is(scalar(() = $text =~ /\r\n/g), @rows + 1, 'each line ends with CR LF');
	is(scalar(() = $text =~ /\n/g), @rows + 1, 'and only with that');
	unlike($text, qr/^\xEF\xBB\xBF/, 'no byte order mark');
	is(substr(slurp_file(written('bom.csv', '--bom')), 3), $text,
		'--bom puts one before it');
	cmp_ok(sql($node, q{SELECT count(*) FROM pg_inherits WHERE inhparent::regclass::text
		LIKE '_factorymon.reading_%'}), '>', 3, 'of several partitions');
}

# The other things, their columns all asked for.
{
	my @columns = qw(recorded_at sensor_id condition transition state level
	  severity value limit announced seq alarm_id pipeline kafka_offset);
	my ($header, @rows) = csv_rows(written('alarms.csv', 'alarms', '--columns',
			join(',', @columns), '--header', 'names'));

	is(join(' ', @$header), "@columns", 'alarms: names of columns');
	same(\@rows, [ table(<<"SQL", <<'FROM', <<'ORDER') ], 'alarms');
@{[ sprintf $iso, 't.recorded_at' ]}, s.name, t.condition, t.transition, t.state,
@{[ $level =~ s/r\./t./r ]}, coalesce(t.severity::text, ''), coalesce(t.value::text, ''),
coalesce(t.limit_value::text, ''), t.announced::text, t.seq, t.alarm_id::text,
'sensor-data', coalesce(t.kafka_offset::text, '')
SQL
_factorymon.transition t JOIN _factorymon.sensor s USING (sensor_id)
JOIN _factorymon.stream st USING (stream_id)
FROM
ORDER BY t.recorded_at, s.name COLLATE "C", st.kafka_partition, t.kafka_offset,
	t.reading_index, t.ordinal
ORDER
	(undef, @rows) = csv_rows(written('rejects.csv', 'rejects'));
	same([ map { [ @$_[ 0, 1, 3, 4, 6, 9 ] ] } @rows ],
		[ table(<<"SQL", <<'FROM', <<'ORDER') ], 'rejects');
@{[ sprintf $iso, 'r.rejected_at' ]}, 'sensor-data', st.kafka_partition, r.kafka_offset,
r.reason, regexp_replace(encode(r.value, 'escape'), '^([-=+\@])', '''\\1')
SQL
_factorymon.reject r JOIN _factorymon.stream st USING (stream_id)
FROM
ORDER BY r.rejected_at, st.kafka_partition, r.kafka_offset
ORDER
}

# How it looks.
{
	my @expected = table(<<"SQL");
to_char(r.ts, 'YYYY-MM-DD HH24:MI:SS,') || to_char(r.ts, 'MS'),
replace(r.value::text, '.', ','), s.name
SQL
	my $file = written('brazil.csv', '--decimal-comma', '--local-times',
		'--columns', 'ts,value,sensor_id', '--header', 'none');

	same([ csv_rows($file, ';') ], \@expected, 'for Excel in Brazil');
	same([ csv_rows(written('commas.csv', '--decimal-comma', '--local-times',
				'--columns', 'ts,value,sensor_id', '--header', 'none',
				'--delimiter', ',')) ],
		\@expected, 'commas on both sides are quoted');
	same([ csv_rows(written('tabs.csv', '--columns', 'ts_utc,sensor_id',
				'--delimiter', 'tab', '--header', 'none'), "\t") ],
		[ table(q{to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), s.name}) ],
		'UTC, and tabs');
}

#
# What is chosen
#
# chosen($condition, @arguments): as many as there are, and not all nor none
my $all = sql($node, 'SELECT count(*) FROM _factorymon.reading');

sub chosen
{
	my ($condition, @arguments) = @_;
	my $file = written('chosen.csv', @arguments, '--header', 'none',
		'--columns', 'kafka_partition,kafka_offset');
	my $name = join ' ', @arguments;
	my $expected = [ table('st.kafka_partition, r.kafka_offset',
		"$base WHERE $condition") ];

	same([ csv_rows($file) ], $expected, $name);
	cmp_ok(scalar @$expected, '<', $all, "$name: not all");
	return;
}

my ($sensor, $other, $machine, $at_zone, $type) = map {
	sql($node, "SELECT $_ FROM $base")
} 'min(s.name)', 'max(s.name)', 'min(v.machine_id)', 'min(v.zone)',
  'min(v.sensor_type)';
my ($low, $high) = split /\|/, sql($node,
	"SELECT min(ts) + (max(ts) - min(ts)) / 3, max(ts) - interval '40 min' FROM _factorymon.reading");
my ($low_rfc, $high_rfc) = map { s/ /T/r =~ s/\+00$/Z/r } $low, $high;

chosen("s.name = '$sensor'", '--sensor', $sensor);
chosen("s.name IN ('$sensor', '$other')", '--sensor', $sensor, '--sensor', $other);
chosen("s.name LIKE '%1'", '--sensor', '*1');
chosen("v.sensor_type = '$type'", '--type', $type);
chosen("v.zone = '$at_zone' AND v.machine_id = '$machine'", '--zone', $at_zone,
	'--machine', $machine);
chosen("$level = 'critical'", '--level', 'critical');
chosen("$level <> 'normal'", '--at-least', 'warning');
chosen("$level <> 'warning'", '--level', 'critical', '--level', 'normal');
chosen("r.ts >= '$low'", '--from', $low_rfc);
chosen("r.ts < '$high'", '--to', $high_rfc);
chosen("r.ts >= '$low' AND r.ts < '$high' AND s.name = '$sensor'", '--from',
	$low_rfc, '--to', $high_rfc, '--sensor', $sensor);
my $wall = sql($node, "SELECT to_char('$low'::timestamptz AT TIME ZONE '$zone', 'YYYY-MM-DD HH24:MI')");
chosen("r.ts >= '$wall $zone'", '--from', $wall);
# of spans only so much is sure, while time goes on
my $spanned = sub { scalar csv_rows(written('span.csv', '--header', 'none', @_)) };
my ($before, $span, $after) = map {
	$_ eq 'span' ? $spanned->('--from', '-100m', '--to', 'now')
	  : sql($node, q{SELECT count(*) FROM _factorymon.reading
		WHERE ts >= now() - interval '100 min' AND ts < now()})
} qw(before span after);
ok(($span <= $before && $span >= $after) || ($span >= $before && $span <= $after),
	"a span: $before >= $span >= $after");
cmp_ok($span, '>', 0, 'which holds something');

#
# XLSX
#
{
	my $sheets = xlsx_rows(written('all.xlsx'));
	my ($header, @rows) = @{ $sheets->{Readings}{rows} };
	my $letter = 'J';

	is(join(' ', sort keys %$sheets), 'About Readings', 'one sheet and About');
	is(join('|', map { $_->[1] } @$header), "Time ($zone)|Sensor|Type|Value|Unit"
		  . '|Level|Section|Machine|Zone|Quality (0-1)', 'titles');
	is($sheets->{Readings}{frozen}, 'A2', 'which stay');
	is($sheets->{Readings}{filter}, "A1:$letter" . (@rows + 1), 'filter');
	cmp_ok($sheets->{Readings}{widths}{A}, '>', 24, 'room for times');
	is(join('', map { $_ ? $_->[0] : '-' } @{ $rows[0] }), 'dssnsssssn',
		'times, texts, numbers');
	same([ map { [ map { $_ ? $_->[1] : '' } @$_ ] } @rows ],
		[ table(sprintf($local, 'r.ts') . <<"SQL") ], 'cell by cell');
, s.name, v.sensor_type, r.value, v.unit, $level, v.factory_section, v.machine_id,
v.zone, coalesce(r.quality::text, '')
SQL
	my %about = map { $_->[0][1] => $_->[1][1] } @{ $sheets->{About}{rows} };
	is($about{Rows}, scalar @rows, 'About: rows');
	is($about{'Times are those of'}, $zone, 'About: time zone');
	is($about{By}, 'watcher', 'About: who');
	like($about{'As it was at'}, qr/^20\d\d-\d\d-\d\d .*-03$/, 'About: when');
	like($about{'Made with'}, qr/^factorymon-export \S+, factorymon \S+$/,
		'About: what with');

	$sheets = xlsx_rows(written('alarms.xlsx', 'alarms', '--level', 'critical',
			'--from', $low_rfc, '--columns', 'recorded_at,sensor_id,announced,value'));
	(undef, @rows) = @{ $sheets->{Alarms}{rows} };
	same([ map { [ map { $_ ? "$_->[0]$_->[1]" : '' } @$_ ] } @rows ],
		[ table(<<"SQL", <<"FROM", <<'ORDER') ], 'alarms as a workbook');
'd' || @{[ sprintf $local, 't.recorded_at' ]}, 's' || s.name,
'b' || t.announced::int, 'n' || t.value
SQL
_factorymon.transition t JOIN _factorymon.sensor s USING (sensor_id)
JOIN _factorymon.stream st USING (stream_id) WHERE t.level & 3 = 2
	AND t.recorded_at >= '$low'
FROM
ORDER BY t.recorded_at, s.name COLLATE "C", st.kafka_partition, t.kafka_offset,
	t.reading_index, t.ordinal
ORDER
	%about = map { $_->[0][1] => $_->[1][1] } @{ $sheets->{About}{rows} };
	is($about{'Only level'}, 'critical', 'About: filters');
	like($about{From}, qr/-03$/, 'About: range');
}

# Sheets that are full: none is longer, none is empty, nothing is lost.
foreach my $most (1000, $all, $all - 1)
{
	my $file = written("split$most.xlsx", '--sheet-rows', $most, '--columns',
		'sensor_id,kafka_partition,kafka_offset');
	my $sheets = xlsx_rows($file);
	my $n = int(($all + $most - 1) / $most);
	my @names = ('Readings', map { "Readings $_" } 2 .. $n);

	is(join(' ', sort keys %$sheets), join(' ', sort @names, 'About'),
		"$most rows a sheet: sheets");
	is(join(' ', map { scalar @{ $sheets->{$_}{rows} } } @names),
		join(' ', ($most + 1) x ($n - 1), $all - $most * ($n - 1) + 1),
		"$most rows a sheet: rows with titles");
	same([ map { my ($title, @rows) = @{ $sheets->{$_}{rows} };
			map { [ map { $_->[1] } @$_ ] } @rows } @names ],
		[ table('s.name, st.kafka_partition, r.kafka_offset') ],
		"$most rows a sheet");
}

#
# Odd things
#
add_days($node, '2026-10-24', '2026-10-25', '2026-10-26');
my @odd = ("it's", '"quoted"', '=1+1', '@sum', '-5', "a,b;c", "two\nlines",
	'back\\slash', '100%', 'a_b', 'star*', '_x0041_', "\x01bell\x07", ' blank ',
	"tab\there", 'São Paulo °C 🏭', '<&>', "'; DROP TABLE x; --", '\\N',
	'x' x 40000, "\r\nbegins", 'axb');
my $names =
  encode_utf8(join ', ', map { "(E'" . s/(['\\])/\\$1/gr . "')" } @odd);
insert_readings($node, "VALUES $names", <<"QUERY");
SELECT timestamptz '2026-10-24 12:00+00' + row_number() OVER () * interval '1 s',
	1.0 / row_number() OVER (), name FROM (VALUES $names) AS x (name)
QUERY
my @odd_days = ('--on', '2026-10-24', '--columns', 'sensor_id', '--header', 'none');

# Quoted for the database, too.
foreach my $name (grep { length() < 100 } @odd)
{
	my $pattern = encode_utf8($name =~ s/([*\\])/\\$1/gr);
	my $result = export($node, '--sensor', $pattern, @odd_days[ 2 .. 5 ],
		'--raw-text', '-o', "$dir/name.csv");

	is($result->{rc}, 0, 'it is taken') or diag $result->{stderr};
	is(join('|', map { $_->[0] } csv_rows("$dir/name.csv")), $name,
		'and found: ' . $name =~ s/[^ -~]/?/gr);
}
is(join(' ', map { $_->[0] } csv_rows(written('like.csv', '--sensor', 'a*b',
				@odd_days))), 'a_b axb', 'a pattern');
is(join(' ', map { $_->[0] } csv_rows(written('star.csv', '--sensor',
				'*\\*', @odd_days))), 'star*', 'a pattern with an asterisk');
is(join("\n", map { $_->[0] } csv_rows(written('raw.csv', @odd_days,
				'--raw-text'))), join("\n", @odd), 'texts as they are');
is(join("\n", map { $_->[0] } csv_rows(written('guarded.csv', @odd_days))),
	join("\n", map { /^[=+\-@\t\r\n]/ ? "'$_" : $_ } @odd),
	'texts that are no formulas');
{
	my $result = export($node, '--on', '2026-10-24', '--columns',
		'sensor_id,value', '-o', "$dir/odd.xlsx");
	my $sheets = xlsx_rows("$dir/odd.xlsx");
	my (undef, @rows) = @{ $sheets->{Readings}{rows} };
	my %about = map { $_->[0][1] => $_->[1][1] } @{ $sheets->{About}{rows} };
	# openpyxl leaves Excel's escapes in place; nothing else may look like one
	my $unescape = sub { $_[0] =~ s/_x([0-9A-F]{4})_/chr hex $1/ger };

	is(join("\n", map { $unescape->($_->[0][1]) } @rows),
		join("\n", map { length() > 32767 ? substr($_, 0, 32766) . '…' : $_ } @odd),
		'in cells they are texts, one of them cut');
	is(join('', map { $_->[0][0] } @rows), 's' x @odd, 'all of them');
	is(join(' ', map { sprintf '%.15g', $_->[1][1] } @rows),
		join(' ', map { sprintf '%.15g', 1 / $_ } 1 .. @odd),
		'numbers have 15 digits');
	is($about{'Texts cut (…)'}, 1, 'About says so');
	like($result->{stderr}, qr/^factorymon-export: 1 texts are longer/, 'and so it does');
}

# Numbers that are none, and more digits than Excel has.
insert_readings($node, "VALUES ('numbers')", <<'QUERY');
SELECT timestamptz '2026-10-24 20:00+00' + n * interval '1 s', v, 'numbers'
FROM unnest('{NaN,Infinity,-Infinity,1e300,-1.5e-300,0.1234567890123456,
	12345678901234567,-0.5,1e15}'::float8[]) WITH ORDINALITY AS x (v, n)
QUERY
is(join(' ', map { $_->[0] } csv_rows(written('numbers.csv', '--sensor',
				'numbers', '--columns', 'value', '--header', 'none'))),
	'NaN Infinity -Infinity 1e+300 -1.5e-300 0.1234567890123456 '
	  . '1.2345678901234568e+16 -0.5 1e+15', 'CSV: every digit');
is(join(' ', map { "$_->[0][0]:" . ($_->[0][0] eq 'n' ? sprintf '%.15g', $_->[0][1]
			: $_->[0][1]) }
		@{ xlsx_rows(written('numbers.xlsx', '--sensor', 'numbers', '--columns',
				'value', '--header', 'none'))->{Readings}{rows} }),
	's:NaN s:Infinity s:-Infinity n:1e+300 n:-1.5e-300 n:0.123456789012346 '
	  . 'n:1.23456789012346e+16 n:-0.5 n:1e+15', 'XLSX: what a cell holds');

# The hour that is there twice: 25 hours, and who is who.
insert_readings($node, "VALUES ('clock')", <<'QUERY');
SELECT timestamptz '2026-10-24 22:30+00' + n * interval '1 hour', n, 'clock'
FROM generate_series(0, 26) n
QUERY
my @clock = ('--sensor', 'clock', '--time-zone', 'Europe/Lisbon', '--on',
	'2026-10-25', '--columns', 'ts,ts_utc,value');
my (undef, @hours) = csv_rows(written('clock.csv', @clock));
is(scalar @hours, 25, 'a day of 25 hours');
is(join(' ', map { $_->[0] } @hours[ 1, 2 ]),
	'2026-10-25T01:30:00.000000+01:00 2026-10-25T01:30:00.000000+00:00',
	'CSV tells them by the offset');
(undef, @hours) = @{ xlsx_rows(written('clock.xlsx', @clock))->{Readings}{rows} };
is(join(' ', map { $_->[1] } @{ $hours[1] }[ 0, 1 ], @{ $hours[2] }[ 0, 1 ]),
	'2026-10-25T01:30:00.000 2026-10-25T00:30:00.000 '
	  . '2026-10-25T01:30:00.000 2026-10-25T01:30:00.000',
	'XLSX by the column in UTC');

$node->stop;
done_testing();
