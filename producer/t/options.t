# options.t - settings, help, exit codes
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;

my $p = './factorymon-producer';
my @dry = ($p, qw(--dry-run --count 1 --seed 1 --start 2025-09-16T00:00:00Z));

sub dry
{
	my ($env, @args) = @_;
	local %ENV = (%ENV, %$env);
	my ($code, $out, $err) = run(@dry, @args);
	return $code == 0 ? $out : "exit $code: $err";
}

sub usage_error
{
	my ($name, $like, @args) = @_;
	my ($code, $out, $err) = run(@args);
	is($code, 2, "$name: exit code 2");
	like($err, $like, "$name: says what is wrong");
	is($out, '', "$name: nothing on stdout");
}

# help and version
foreach my $program (qw(factorymon-producer factorymon-broker
	factorymon-digest))
{
	my ($code, $out, $err) = run("./$program", '--help');
	is("$code$err", '0', "$program --help");
	like($out, qr/Usage: $program/, "$program --help tells");
	($code, $out) = run("./$program", '--version');
	like("$code $out", qr/^0 $program \d/, "$program --version");
	($code, $out, $err) = run("./$program", '--no-such-option');
	is($code, 2, "$program: unknown option");
}
my ($code, $help) = run($p, '--help');
foreach my $env (qw(SENSOR_ID SENSOR_TYPE SAMPLING_INTERVAL FACTORY_SECTION
	MACHINE_ID ZONE KAFKA_BROKERS SENSOR_TOPIC BASE_VALUE WARNING_THRESHOLD
	CRITICAL_THRESHOLD))
{
	(my $option = lc $env) =~ tr/_/-/;
	like($help, qr/--$option /, "help names --$option");
	like($help, qr/environment: $env\n/, "help names $env");
}
like($help, qr/--format NAME .*\n\s+environment: SENSOR_FORMAT\n/,
	'help names --format and SENSOR_FORMAT');
like($help, qr/^  $_ .*(\n\s+.*)*?\n\s+topic: /m, "help names the format $_")
  foreach qw(factory reading city sensores);
(undef, my $broker_help) = run('./factorymon-broker', '--help');
like($broker_help, qr/$_/, "the broker's help warns: $_")
  foreach ('in memory', 'ports are random', '5 MiB', 'static membership',
	'control\s+records', '3 s');

# environment and options
my %env = (SENSOR_ID => 's-1', SENSOR_TYPE => 'pressure',
	FACTORY_SECTION => 'pr"ess', MACHINE_ID => 'm9', ZONE => 'z9',
	BASE_VALUE => '3', WARNING_THRESHOLD => '5.25',
	CRITICAL_THRESHOLD => '7', SAMPLING_INTERVAL => '0.5');
like(dry(\%env), qr/^reading\ts-1\t\{"timestamp":"2025-09-16T00:00:00.000000Z","sensor_id":"s-1","sensor_type":"pressure","location":\{"factory_section":"pr\\"ess","machine_id":"m9","zone":"z9"\},"value":[\d.]+,"unit":"bar","alert_level":"\w+","quality":[\d.]+,"metadata":\{"reading_count":1,"warning_threshold":5.25,"critical_threshold":7.0\}\}\n$/,
	'the environment sets everything');
like(dry(\%env, qw(--sensor-id opt --zone zz)), qr/"opt".*"zone":"zz"/,
	'options win over the environment');
like(dry({ SENSOR_TYPE => '' }), qr/"temperature"/,
	'an empty variable counts as not set');
like(dry({}), qr/"sensor_id":"temperature-[^"]+"/,
	'the id defaults to type and host');
my @times = dry(\%env, '--count', 3) =~ /"timestamp":"(\S+?)"/g;
is("@times", join(' ', map { "2025-09-16T00:00:0$_" } qw(0.000000Z 0.500000Z
	1.000000Z)), 'the interval is that of the environment');
my %unit = (temperature => "\xc2\xb0C", vibration => 'mm/s', energy => 'kW',
	humidity => '%', pressure => 'bar');
like(dry({ SENSOR_TYPE => $_ }), qr/"sensor_type":"$_".*"unit":"$unit{$_}"/,
	"type $_") foreach sort keys %unit;

# wrong settings
usage_error('type', qr/SENSOR_TYPE: "heat" is not one of/, 'env',
	'SENSOR_TYPE=heat', @dry);
usage_error('number', qr/--rate: "fast" is not a number/, @dry, '--rate',
	'fast');
usage_error('share', qr/--malformed: "1.5"/, @dry, '--malformed', '1.5');
usage_error('thresholds', qr/below/, @dry, '--warning-threshold', '50');
usage_error('time', qr/--start/, @dry, '--start', 'tomorrow');
usage_error('kind', qr/--malformed-kinds/, @dry, '--malformed-kinds', 'odd');
usage_error('thresholds of many', qr/need a sensor type/, @dry, '--sensors',
	'5', '--base-value', '1');
usage_error('argument', qr/not an option/, @dry, 'more');
usage_error('no value', qr/NAME=VALUE/, @dry, '-X', 'acks');
usage_error('truth in no folder', qr/cannot open/, $p, '--count', '1',
	'--truth', '/no/such/folder/file');

# properties of librdkafka
usage_error('unknown property', qr/-X: librdkafka has no property "ackz "/,
	$p, '-X', 'ackz =all');
usage_error('invalid property', qr/-X: .*security\.protocol/, $p, '-X',
	'security.protocol=telepathy');
usage_error('unknown in the environment',
	qr/KAFKA_SASL_NONSENSE: librdkafka has no property "sasl.nonsense"/,
	'env', 'KAFKA_SASL_NONSENSE=1', $p);
usage_error('prefix of the environment',
	qr/KAFKA_CONFIG_SECURITY_PROTOCOL: .*security\.protocol/, 'env',
	'KAFKA_CONFIG_SECURITY_PROTOCOL=telepathy', $p);
usage_error('kept prefix', qr/KAFKA_SECURITY_PROTOCOL: .*security\.protocol/,
	'env', 'KAFKA_SECURITY_PROTOCOL=telepathy', $p);
usage_error('double underscore', qr/KAFKA_CONFIG_LOG__LEVEL: .*log_level/,
	'env', 'KAFKA_CONFIG_LOG__LEVEL=99', $p);
usage_error('TLS is configured', qr/ssl\.ca\.location/, 'env',
	'KAFKA_SECURITY_PROTOCOL=SSL', 'KAFKA_SSL_CA_LOCATION=/no-such-ca.pem',
	$p, '--count', '1');
usage_error('SASL is configured', qr/sasl|SASL/, 'env',
	'KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT', 'KAFKA_SASL_MECHANISM=NOSUCH',
	$p, '--count', '1');

# a secret that is wrong is not repeated
my $err;
($code, undef, $err) = run('env', 'KAFKA_SECURITY_PROTOCOL=SSL', $p, '-X',
	'ssl.key.pem=hush-hush', '--count', '1');
is($code, 2, 'a bad key is a usage error');
unlike($err, qr/hush-hush/, 'a bad key is not shown');
($code, undef, $err) = run($p, '-X', 'sasl.oauthbearer.method=hush-hush');
is($code, 2, 'a bad property next to secrets is a usage error');
unlike($err, qr/hush-hush/, 'and its value is not shown');
my $run = start($p, '-b', '127.0.0.1:1', '-X', 'sasl.password=hush-hush',
	'--heartbeat', '0', '--count', '1', '--rate', '1000', '-v');
ok(wait_until(sub { slurp($run->{err}) =~ /refused/i }),
	'unreachable brokers are reported');
unlike(slurp("/proc/$run->{pid}/cmdline"), qr/hush-hush/,
	'a password is blanked in the list of processes')
  if -e "/proc/$run->{pid}/cmdline";
kill 'TERM', $run->{pid};
kill 'TERM', $run->{pid}
  unless wait_until(sub { kill(0, $run->{pid}) == 0 }, 0.3);
($code, undef, $err) = finish($run);
is($code, 1, 'given up: exit code 1');
like($err, qr/ sent=1 delivered=0 failed=1 unknown=0 /, 'and the summary');
unlike($err, qr/hush-hush/, 'a password is not shown');

done_testing();
