# formats.t - messages of each format, as an independent reader sees them
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use utf8;
use lib 't/lib';
use FmTest;
use Encode qw(decode);
use JSON::PP;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
  foreach qw(output failure_output todo_output);

my $p = './factorymon-producer';
my @dry = ($p, qw(--dry-run --start 2025-09-16T00:00:00Z));
my $uuid = qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
my $json = JSON::PP->new->utf8;

# What was printed: [ { kind, key, raw, message } ], parsed but for malformed.
sub printed
{
	my ($out) = @_;
	my @messages;
	foreach (split /\n/, $out)
	{
		my ($kind, $key, $raw) = split /\t/;
		push @messages, { kind => $kind, key => decode('UTF-8', $key),
			raw => $raw,
			message => $kind =~ /^(reading|duplicate)$/ ? $json->decode($raw)
			: undef };
	}
	return @messages;
}

sub dry
{
	my (@args) = @_;
	my ($code, $out, $err) = run(@dry, @args);
	die "exit $code: $err" if $code ne '0';
	return printed($out);
}

# The numbers of a member: (lowest, highest, how many different).
sub spread
{
	my ($key, @messages) = @_;
	my %seen = map { $_->{message}{$key} => 1 } @messages;
	my @sorted = sort { $a <=> $b } keys %seen;
	return ($sorted[0], $sorted[-1], scalar @sorted);
}

sub members
{
	my (@messages) = @_;
	my %seen = map { join(' ', sort keys %{ $_->{message} }) => 1 } @messages;
	return join ' | ', sort keys %seen;
}

# Does a member follow the key in each message, and is it text or a number?
sub all_like
{
	my ($key, $like, $name, @messages) = @_;
	my @wrong = grep { $_->{message}{$key} !~ $like } @messages;
	is(scalar(@wrong), 0, $name) or diag($wrong[0]{raw});
}

sub unquoted
{
	my ($key, $name, @messages) = @_;
	is(scalar(grep { $_->{raw} !~ /"$key":-?\d+\.\d[,}]/ } @messages), 0, $name);
}

# the canonical one is what it was
my @factory = dry(qw(--seed 3 --count 50));
my @named = dry(qw(--seed 3 --count 50 --format factory));
is_deeply(\@named, \@factory, 'factory is the default');

# reading
my @r = dry(qw(--format reading --sensors 40 --seed 5 --count 6000));
is(members(@r), 'sensor_id sensor_type timestamp unique_reading_id unit value',
	'reading: its members');
all_like('unique_reading_id', $uuid, 'reading: ids are UUIDs', @r);
my %ids = map { $_->{message}{unique_reading_id} => 1 } @r;
is(scalar(keys %ids), 6000, 'reading: no two are the same');
all_like('timestamp', qr/^2025-09-16T\d\d:\d\d:\d\d\.\d{6}Z$/,
	'reading: time with a zone', @r);
is(scalar(grep { $_->{key} ne $_->{message}{sensor_id} } @r), 0,
	'reading: the key is the sensor');
my %types = map { $_->{message}{sensor_type} => 1 } @r;
is(join(' ', sort keys %types), 'energy humidity pressure temperature vibration',
	'reading: all types');
my @t = dry(qw(--format reading --sensor-type temperature --seed 5 --count 3000
	--anomalies none));
my ($low, $high, $n) = spread('value', @t);
ok($low > 15 && $high < 35 && $n > 50, "reading: temperatures $low to $high");
my @same = dry(qw(--seed 5 --count 6000 --sensors 40));
is_deeply([ map { $_->{message}{value} } @r ],
	[ map { $_->{message}{value} } @same ],
	'reading: the same values as canonical messages of the seed');

# unique ids: the seed's, or nobody's
my ($again) = dry(qw(--format reading --sensors 40 --seed 5 --count 1));
is($again->{message}{unique_reading_id}, $r[0]{message}{unique_reading_id},
	'the same seed gives the same ids');
foreach ([ 'another seed', qw(--seed 6) ],
	[ 'another sensor', qw(--seed 5 --sensor-id elsewhere) ])
{
	my ($name, @args) = @$_;
	my @other = dry(qw(--format reading --sensors 40 --count 6000), @args);
	is(scalar(grep { $ids{ $_->{message}{unique_reading_id} } } @other), 0,
		"$name gives other ids");
}
my ($one) = dry(qw(--format reading --count 1));
my ($two) = dry(qw(--format reading --count 1));
isnt($one->{message}{unique_reading_id}, $two->{message}{unique_reading_id},
	'and so does no seed');

# city
my @c = dry(qw(--format city --seed 5 --count 20000 --sampling-interval 60));
is(members(@c), 'city humidity status temperature timestamp',
	'city: its members');
my %city;
push @{ $city{ $_->{message}{city} } }, $_ foreach @c;
is(scalar(keys %city), 15, 'city: a station in each, unless told otherwise');
ok($city{$_}, "city: $_") foreach ('São Paulo', 'Recife', 'Curitiba');
is(scalar(grep { $_->{key} ne $_->{message}{city} } @c), 0,
	'city: the key is the city');
unquoted('temperature', 'city: temperature is a number', @c);
unquoted('humidity', 'city: humidity is a number', @c);
($low, $high) = spread('temperature', @c);
ok($low > 0 && $high < 50, "city: temperatures $low to $high");
($low, $high) = spread('humidity', @c);
ok($low > 5 && $high <= 100, "city: humidities $low to $high");
all_like('timestamp', qr/^2025-09-16T\d\d:\d\d:\d\d\.\d{6}Z$/,
	'city: time with a zone', @c);
my %status;
$status{ $_->{message}{status} }++ foreach @c;
is(join(' ', sort keys %status), 'Alerta Crítico Normal', 'city: status in words');
cmp_ok($status{Normal} / @c, '>', 0.6, 'city: mostly normal');
cmp_ok($status{Alerta}, '>', $status{'Crítico'}, 'city: alerts, fewer critical');

sub mean
{
	my ($key, @messages) = @_;
	my $sum = 0;
	$sum += $_->{message}{$key} foreach @messages;
	return $sum / @messages;
}
my %mean = map { $_ => mean('temperature', @{ $city{$_} }) } keys %city;
cmp_ok($mean{Manaus} - $mean{Curitiba}, '>', 5, 'city: each has its climate');
my @day = dry(qw(--format city --sensor-id Recife --seed 5 --count 1440
	--sampling-interval 60 --anomalies none));
is(join(' ', map { $_->{message}{city} } @day[ 0, -1 ]), 'Recife Recife',
	'city: an id names the only one');
my $night = mean('temperature', @day[ 60 .. 300 ]);
my $noon = mean('temperature', @day[ 780 .. 1020 ]);
ok($noon - $night > 2, "city: warmer by day ($night, $noon)");
cmp_ok(mean('humidity', @day[ 60 .. 300 ]), '>',
	mean('humidity', @day[ 780 .. 1020 ]), 'city: and drier');
is(scalar(grep { $_->{message}{status} ne 'Normal' } @day), 0,
	'city: normal without anomalies');
my @many = dry(qw(--format city --sensors 32 --seed 5 --count 500));
my %stations = map { $_->{key} => 1 } @many;
ok(keys %stations == 32 && $stations{'São Paulo 2'} && $stations{'Recife 3'},
	'city: more stations than cities have numbers');

# sensores
my @s = dry(qw(--format sensores --sensors 10 --seed 5 --count 20000
	--anomalies independent));
is(members(@s), 'sensor_id temperatura timestamp umidade',
	'sensores: its members');
all_like('sensor_id', $uuid, 'sensores: sensors are UUIDs', @s);
my %sensors = map { $_->{message}{sensor_id} => 1 } @s;
is(scalar(keys %sensors), 10, 'sensores: as many as asked for');
all_like('timestamp', qr/^2025-09-16T\d\d:\d\d:\d\d$/,
	'sensores: time without a zone', @s);
is(scalar(grep { $_->{key} ne $_->{message}{sensor_id} } @s), 0,
	'sensores: the key is the sensor');
unquoted('temperatura', 'sensores: temperatura is a number', @s);
unquoted('umidade', 'sensores: umidade is a number', @s);
($low, $high, $n) = spread('temperatura', @s);
ok($low >= 20 && $high <= 30 && $n > 40, "sensores: temperatura $low to $high");
($low, $high, $n) = spread('umidade', @s);
ok($low >= 30 && $high <= 80 && $n > 100, "sensores: umidade $low to $high");
my ($restarted) = dry(qw(--format sensores --seed 6 --count 1));
my ($before) = dry(qw(--format sensores --seed 7 --count 1));
is($restarted->{key}, $before->{key}, 'sensores: a sensor keeps its id');
my ($other) = dry(qw(--format sensores --sensor-id elsewhere --count 1));
isnt($other->{key}, $before->{key}, 'sensores: another has another');
my $id = 'ABCDEF01-2345-1678-9abc-def012345678';
($other) = dry(qw(--format sensores --count 1 --sensor-id), $id);
is($other->{key}, $id, 'sensores: an id that is a UUID stays');
my @times = map { $_->{message}{timestamp} }
  dry(qw(--format sensores --count 3));
is("@times", join(' ', map { "2025-09-16T00:00:0$_" } 0 .. 2),
	'sensores: one a second');

# the same seed, the same bytes; other kinds of messages
foreach my $format (qw(reading city sensores))
{
	my @mixed = ('--format', $format, qw(--sensors 20 --count 3000 --seed 8
		--malformed 0.1 --tombstones 0.05 --extra 0.2 --inject 0.02));
	my (undef, $once) = run(@dry, @mixed);
	my (undef, $twice) = run(@dry, @mixed);
	is($once, $twice, "$format: the same seed gives the same bytes");
	my %kind;
	$kind{ $_->{kind} }++ foreach printed($once);
	cmp_ok(abs($kind{malformed} - 300), '<', 80, "$format: malformed messages");
	cmp_ok(abs($kind{tombstone} - 150), '<', 60, "$format: tombstones");
}

# the environment, and the topic of each
my %topic = (factory => 'sensor-data', reading => 'iot-sensor-data',
	city => 'sensores-iot', sensores => 'iot_sensores');
{
	local $ENV{SENSOR_FORMAT} = 'city';
	is(members(dry(qw(--count 3))), members(@c), 'SENSOR_FORMAT is the format');
	is(members(dry(qw(--count 3 --format sensores))), members(@s),
		'the option wins');
	is(members(dry(qw(--count 3 --sensor-format reading))), members(@r),
		'by its other name, too');
}
my $broker = broker(map { ('--topic', "$_:3") } values %topic, 'mine');
foreach my $format (sort keys %topic)
{
	my $truth = scratch('truth');
	my ($code, undef, $err) = run($p, '-b', $broker->{servers}, '--format',
		$format, qw(--sensors 30 --count 2000 --rate 0 --malformed 0.05
		--extra 0.1 --heartbeat 0.1 --seed 4 --truth), $truth);
	my $log = readback($broker, $topic{$format}, '-p');
	my $t = truth($truth);
	my ($wrong, $extra) = compare($t, $log);
	is("$code $wrong " . @$extra, '0 0 0', "$format goes to $topic{$format}");
	my %home;
	$home{ $log->{$_}{key} }{ (split / /)[0] } = 1
	  foreach grep { $log->{$_}{header} ne 'heartbeat' } keys %$log;
	is(scalar(keys %home) . ' ' . grep({ keys %$_ > 1 } values %home), '30 0',
		"$format: each sensor has a partition");
	my @lacking = grep { $_->{kind} eq 'reading' &&
		($_->{id} // '') ne ($log->{ $_->{at} }{payload} =~
			  /"unique_reading_id":"([^"]+)"/ ? $1 : '') } @$t;
	is(scalar(@lacking), 0, "$format: the truth has the ids");
	is(scalar(grep { $_->{id} } @$t) > 0, $format eq 'reading',
		"$format: which are there or not");
}
my ($code) = run($p, '-b', $broker->{servers}, qw(--format city -t mine
	--count 20 --rate 0 --heartbeat 0));
is("$code " . keys %{ readback($broker, 'mine') }, '0 20',
	'another topic can be had');

# usage
foreach (
	[ [qw(--format xml)], qr/"xml" is not one of factory, reading, city, sensores/ ],
	[ [qw(--format city --sensor-type humidity)], qr/sensor type does not go/ ],
	[ [qw(--format sensores --base-value 40)], qr/no such base value/ ],
	[ [qw(--format city --warning-threshold 33)], qr/below/ ],
	[ [qw(--format reading --inject 0.01 --inject-kinds gap)],
		qr/no reading_count/ ])
{
	my ($args, $like) = @$_;
	my ($failed, $out, $err) = run(@dry, qw(--count 1), @$args);
	is("$failed $out", '2 ', "@$args: exit code 2");
	like($err, $like, "@$args: says what is wrong");
}
{
	local $ENV{SENSOR_FORMAT} = 'csv';
	my ($failed, undef, $err) = run(@dry, qw(--count 1));
	like("$failed $err", qr/^2 .*SENSOR_FORMAT: "csv"/, 'SENSOR_FORMAT: likewise');
}

done_testing();
