# From a reading to a mail and to a text message, through Debian's Prometheus
# and Alertmanager with the configuration that is shipped: what they say, who
# gets them, what is not told, and that a gateway which fails for a while loses
# nothing and sends nothing twice.
#
# The intervals of the configuration are shortened, or it would take minutes;
# mail goes without TLS to a server of the test's.  All else is as shipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonPrometheus;
use FactorymonTest;
use File::Copy ();
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my $prometheus_program = debian_program('prometheus', 'prometheus');
my $amtool = debian_program('prometheus-alertmanager', 'amtool');
my @alertmanager = (
	repo_path('test/debian-run'), 'prometheus-alertmanager',
	'prometheus-alertmanager');
plan skip_all => 'Debian\'s Prometheus and Alertmanager cannot be had'
  unless $prometheus_program && $amtool;
my $version = run_program([ @alertmanager, '--version' ]);
plan skip_all => "Debian's Alertmanager cannot be run: $version->{stderr}"
  unless $version->{rc} == 0;

my @services;
my @numbers = ('+4917000000001', '+4917000000002');

#
# What there is beside them
#

# A secret of this run, in a file, without a line end, which would be a part of
# the password.
sub secret
{
	my ($name) = @_;

	append_to_file("$folder/$name", join('', map { int rand 10 } 1 .. 20));
	return "$folder/$name";
}

# A program that tells its port in a file; and that.
sub start_service
{
	my ($name, @arguments) = @_;
	my $file = "$folder/$name.port";
	my $process = FactorymonTest::Process->start([
			'python3', repo_path("test/notify/$name.py"), '--port-file', $file,
			@arguments
		], name => $name);
	my $port;

	push @services, $process;
	FactorymonTest::poll_while("the port of $name",
		sub { ($port) = lines_of($file); $port })
	  or die "$name did not start: " . $process->stderr;
	return $port;
}

# What a service has recorded.
sub recorded
{
	my ($name) = @_;

	return map { decode_json($_) } lines_of("$folder/$name");
}

sub mails { return recorded('mails') }

# Messages that the gateway took, or all that it was asked to.
sub texts
{
	my ($any) = @_;

	return grep { $_->{path} eq '/sms' && ($any || $_->{status} == 200) }
	  recorded('requests');
}

sub notifications
{
	return grep { $_->{path} eq '/hook' } recorded('requests');
}

# Wait for a record that the code likes; the first one.
sub one_of
{
	my ($name, $what, $code) = @_;
	my ($found, @all);

	FactorymonTest::poll_while(
		$name,
		sub { @all = $what->(); ($found) = grep { $code->() } @all; $found })
	  or diag explain(\@all), map { $_->stderr } @services;
	ok($found, $name);
	return $found || {};
}

sub mail
{
	my ($name, $subject) = @_;

	return one_of($name, \&mails, sub { $_->{subject} =~ $subject });
}

# A text for each number.
sub text_for_all
{
	my ($name, $text) = @_;

	foreach my $number (@numbers)
	{
		one_of("$name: $number", \&texts, sub {
				$_->{fields}{to} eq $number && $_->{fields}{text} =~ $text
			});
	}
	return;
}

my %secret = map { $_ => secret($_) } qw(mail sms hook inbound);
my $mail_port = start_service('mail_sink', '--record', "$folder/mails",
	'--user', 'plant', '--password-file', $secret{mail});
my $gateway_port = start_service('gateway', '--record', "$folder/requests",
	'--answer', "$folder/answer");

# The gateway answers with this from now on.
sub gateway_answers
{
	my (%answer) = @_;

	append_to_file("$folder/answer.new", encode_json(\%answer));
	rename "$folder/answer.new", "$folder/answer" or die "rename: $!\n";
	return;
}

my $bridge_port = free_port();
push @services, FactorymonTest::Process->start(
	[ 'python3', repo_path('docker/sms-bridge/sms_bridge.py') ],
	name => 'sms-bridge',
	env => {
		SMS_LISTEN => "127.0.0.1:$bridge_port",
		SMS_GATEWAY_URL => "http://127.0.0.1:$gateway_port/sms",
		SMS_NUMBERS => join(',', @numbers),
		SMS_TOKEN_FILE => $secret{sms},
		SMS_INBOUND_TOKEN_FILE => $secret{inbound} });

#
# The configuration
#

my %least = (
	SMTP_SMARTHOST => "127.0.0.1:$mail_port",
	SMTP_FROM => 'factorymon@plant.example',
	MAIL_TO => 'ops@plant.example');
my %settings = (
	%least,
	SMTP_REQUIRE_TLS => 'false',
	SMTP_USER => 'plant',
	SMTP_PASSWORD_FILE => $secret{mail},
	DASHBOARD_URL => 'https://plant.example/monitor?a=1&b=2',
	SMS_BRIDGE_URL => "http://127.0.0.1:$bridge_port/alertmanager",
	SMS_BRIDGE_TOKEN_FILE => $secret{inbound},
	WEBHOOK_URL => "http://127.0.0.1:$gateway_port/hook",
	WEBHOOK_TOKEN_FILE => $secret{hook});

sub configure
{
	my (%env) = @_;

	return run_program([ repo_path('docker/alertmanager/configure') ],
		env => \%env);
}

File::Copy::copy(repo_path('docker/alertmanager/factorymon.tmpl'), $folder)
  or die "factorymon.tmpl: $!\n";
foreach (
	[ 'least', %least ],
	[ 'mail and text messages', map { $_ => $settings{$_} } grep { !/WEBHOOK/ }
		  keys %settings ],
	[ 'all', %settings ])
{
	my ($name, %env) = @$_;
	my $result = configure(%env);

	is("$result->{rc} $result->{stderr}", '0 ', "$name: a configuration");
	unlink "$folder/alertmanager.yml";
	append_to_file("$folder/alertmanager.yml", $result->{stdout});
	$result = run_program([ $amtool, 'check-config',
			"$folder/alertmanager.yml" ]);
	is($result->{rc}, 0, "$name: amtool check-config")
	  or diag "$result->{stdout}$result->{stderr}";
}
my $config = slurp_file("$folder/alertmanager.yml");
foreach my $file (values %secret)
{
	my ($content) = lines_of($file);

	unlike($config, qr/$content/, "no secret in it: $file");
}
my $mistaken = secret('mistaken');
append_to_file($mistaken, "\n");
foreach (
	[ qr/SMTP_SMARTHOST is not set/, %settings, SMTP_SMARTHOST => '' ],
	[ qr/MAIL_TO must not contain/, %settings, MAIL_TO => "a'b" ],
	[ qr/DASHBOARD_URL must not/, %settings, DASHBOARD_URL => '{{ x }}' ],
	[ qr/SMTP_REQUIRE_TLS is true/, %settings, SMTP_REQUIRE_TLS => 'no' ],
	[ qr/SMTP_USER needs SMTP_PASS/, %settings, SMTP_PASSWORD_FILE => '' ],
	[ qr/SMTP_PASSWORD_FILE needs/, %settings, SMTP_USER => '' ],
	[ qr/WEBHOOK_TOKEN_FILE needs/, %settings, WEBHOOK_URL => '' ],
	[ qr/must not end with a line end/, %settings,
		SMTP_PASSWORD_FILE => $mistaken ],
	[ qr/"none" is missing or empty/, %settings, WEBHOOK_TOKEN_FILE => 'none' ])
{
	my ($complaint, %env) = @$_;
	my $result = configure(%env);

	is("$result->{rc} $result->{stdout}", '1 ', "wrong: $complaint");
	like($result->{stderr}, $complaint, 'which it says');
}

#
# The chain
#

$config =~ s/group_wait: 10s/group_wait: 0s/ or die "group_wait\n";
$config =~ s/group_interval: 1m/group_interval: 1s/ or die "group_interval\n";
append_to_file("$folder/quick.yml", $config);
my $alertmanager_port = free_port();
my $alertmanager = FactorymonTest::Process->start([
		@alertmanager, "--config.file=$folder/quick.yml",
		"--storage.path=$folder/data",
		"--web.listen-address=127.0.0.1:$alertmanager_port",
		'--cluster.listen-address='
	], name => 'alertmanager');
push @services, $alertmanager;

my ($broker, $node) = start_plant();
my $dashboard = start_dashboard($node, role => 'watcher');
my $prometheus = start_prometheus($prometheus_program, $dashboard,
	$alertmanager_port);
$prometheus->comes_to('up', 'job', 'alertmanager=1 factorymon=1',
	'Prometheus scrapes both');

# One reading of a sensor.
sub reading
{
	my ($sensor, $name) = @_;

	return is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
			sensor_id => $sensor, sensor_type => 'temperature', seed => 7)->{rc},
		0, $name);
}

# A column of a sensor's alarm.
sub of_alarm
{
	my ($sensor, $column) = @_;

	return sql($node, "SELECT $column FROM factorymon.alarms "
		  . "WHERE sensor_id = '$sensor' AND condition = 'limit'");
}

sub acknowledge
{
	my ($sensor) = @_;

	return sql($node, q{SELECT count(factorymon.acknowledge(announced_event_id))
		FROM factorymon.alarms
		WHERE condition = 'limit' AND sensor_id = } . "'$sensor'");
}

# Limits of all
sub limits
{
	my ($warning, $critical) = @_;

	return sql($node, "UPDATE factorymon.threshold "
		  . "SET warning_high = $warning, critical_high = $critical");
}

# From a reading to whoever has to get up
reading('hot', 'a reading above the limit');
my $mail = mail('is a mail', qr/^\[critical\] hot /);
my ($value, $section, $machine, $zone) = map { of_alarm('hot', $_) }
  qw(value factory_section machine_id zone);
is_deeply($mail->{to}, ['ops@plant.example'], 'to the right address');
is($mail->{user}, 'plant', 'of who has the password');
is($mail->{subject}, "[critical] hot $value \x{b0}C, limit -50",
	'its subject says it');
like($mail->{text}, qr/^hot: limit, critical$/m, 'what');
like($mail->{text}, qr/^    value  \Q$value\E \x{b0}C$/m, 'value');
like($mail->{text}, qr/^    limit  -50$/m, 'limit');
like($mail->{text},
	qr/^    where  section \Q$section\E, machine \Q$machine\E, zone \Q$zone\E$/m,
	'where');
my $since = of_alarm('hot', q{to_char(since, 'YYYY-MM-DD HH24:MI:SS')});
like($mail->{text}, qr/^    since  \Q$since\E/m, 'since when');
like($mail->{text}, qr/^Dashboard: \Q$settings{DASHBOARD_URL}\E$/m,
	'and where to look');
unlike($mail->{text}, qr/Over:|no value/, 'and nothing else');
text_for_all('a text',
	qr/^CRITICAL \Q$section\E: hot \Q$value\E C, limit -50, /);
my ($token) = lines_of($secret{sms});
is((texts())[0]{authorization}, "Bearer $token", 'with the secret');
my $hook = one_of('the webhook', \&notifications,
	sub { $_->{fields}{status} eq 'firing' });
($token) = lines_of($secret{hook});
is($hook->{authorization}, "Bearer $token", 'has its own');
is($hook->{fields}{alerts}[0]{labels}{sensor_id}, 'hot', 'and all of it');

# It returns, and somebody has seen it.
limits('NULL', 1000);
reading('hot', 'a reading below the limit');
ok(poll_until($node, q{SELECT state FROM factorymon.alarms
	WHERE sensor_id = 'hot'}, 'returned_unacknowledged'), 'returned');
$prometheus->comes_to('factorymon_alarm_present{sensor_id="hot"}',
	'sensor_id', 'hot=0', 'as Prometheus sees it');
is(acknowledge('hot'), 1, 'acknowledged');
$mail = mail('a mail says so', qr/^\[over\] hot/);
like($mail->{text},
	qr/^Over:\n\nhot: limit, critical\n.*^    until  20\d\d-/ms, 'when');
text_for_all('a text, too', qr/^OVER \Q$section\E: hot /);
is(scalar(grep { $_->{subject} =~ /^\[over\] hot/ } mails()), 1, 'once');

# From bad to worse: who is told of the worse is not told that the bad is over.
limits(-50, 1000);
reading('worse', 'a reading above the lower limit');
$mail = mail('is a warning', qr/^\[warning\] worse .*, limit -50$/);
limits(-60, -50);
reading('worse', 'a reading above the higher limit');
mail('is critical', qr/^\[critical\] worse .*, limit -50$/);
text_for_all('a text', qr/^CRITICAL .*worse /);
is(scalar(grep { $_->{fields}{text} =~ /^WARNING/ } texts()), 0,
	'of warnings nobody gets a text');
$prometheus->comes_to('ALERTS{alertname="PlantAlarm",severity="warning"}',
	'sensor_id', '', 'there is no warning any more');

# Nor of what others hide: alerts by hand, and some that nothing hides.  They
# have a group of their own, but for the warnings about the real alarm.
my $instance = '127.0.0.1:' . $dashboard->port;

sub alert
{
	my ($name, %labels) = @_;
	my %all = (
		instance => $instance,
		pipeline => 'sensor-data',
		severity => 'warning',
		factory_section => 'by hand',
		%labels);
	my $result = run_program([
			$amtool, "--alertmanager.url=http://127.0.0.1:$alertmanager_port",
			'alert', 'add', $name, "--annotation=summary=$name "
			  . ($labels{sensor_id} // '') . ' by hand',
			map { "$_=$all{$_}" } sort keys %all ]);

	is("$result->{rc} $result->{stderr}", '0 ', "an alert by hand: $name "
		  . join(' ', map { "$_=$labels{$_}" } sort keys %labels));
	return;
}

alert('PlantFlood', severity => 'critical', position => 'east');
alert('FactorymonSensorsUnknown', pipeline => 'other');
alert('PlantMassSilence', severity => 'critical', pipeline => 'third',
	condition => 'silent');
alert('FactorymonPipelineDown', severity => 'critical', pipeline => 'fourth');
foreach my $name (qw(PlantFlood SensorsUnknown PlantMassSilence PipelineDown))
{
	one_of("$name is told", \&mails, sub { $_->{text} =~ /$name  by hand/ });
}
my %hidden = (condition => 'limit', sensor_id => 'hidden');
alert('PlantAlarm', %hidden, sensor_id => 'worse', machine_id => 'hidden',
	factory_section => $section);
alert('PlantAlarm', %hidden, position => 'east');
alert('PlantAlarm', %hidden, severity => 'critical', position => 'east');
alert('PlantAlarm', %hidden, condition => 'silent', pipeline => 'other');
alert('PlantAlarm', %hidden, condition => 'silent', pipeline => 'third');
alert('FactorymonLag', pipeline => 'fourth', machine_id => 'hidden');
foreach ([ $section, 'warning' ], [ 'by hand', 'warning' ],
	[ 'by hand', 'critical' ])
{
	my ($place, $severity) = @$_;

	alert('PlantAlarm', condition => 'limit', sensor_id => "shown-$severity",
		factory_section => $place, position => 'west', severity => $severity);
	one_of("what nothing hides is told: $place, $severity", \&mails,
		sub { $_->{text} =~ /shown-$severity.*^ +where  section $place/ms });
}
is(scalar(grep { $_->{text} =~ /hidden|FactorymonLag/ } mails()), 0,
	'nobody is told of what others hide');
is(scalar(grep { $_->{text} =~ /^Over:.*worse: limit, warning/ms } mails()), 0,
	'nor that the warning is over which is critical now');

# The gateway fails for one number, then for all, and works again.
my $again = qr/^CRITICAL \Q$section\E: again /;
my $once = qr/^CRITICAL \Q$section\E: once /;

# Wait until the gateway has failed that often, with this status.
sub gateway_fails
{
	my ($name, $text, $status, $times) = @_;

	return ok(
		FactorymonTest::poll_while(
			$name,
			sub {
				$times <= grep {
					$_->{fields}{text} =~ $text && $_->{status} == $status
				} texts('any');
			}),
		$name);
}

gateway_answers($numbers[1] => 500);
reading('again', 'a reading above the limit');
one_of('the first number has it', \&texts, sub {
		$_->{fields}{to} eq $numbers[0] && $_->{fields}{text} =~ $again
	});
gateway_fails('the gateway fails with the second one', $again, 500, 3);
mail('a mail does not wait for that', qr/again |\Q$section\E: \d+ alarms$/);
gateway_answers('' => 503);
reading('once', 'another reading above the limit');
gateway_fails('the gateway fails altogether', $once, 503, 2);
mail('a mail tells of that, too',
	qr/^\[critical\] Notifications by webhook do not go out$/);
gateway_answers('' => 200);
text_for_all('it comes when the gateway works again', $once);
text_for_all('nor is the one before forgotten', qr/^CRITICAL .*again /);
limits('NULL', 1000);
foreach my $sensor (qw(again once))
{
	reading($sensor, "$sensor: a reading below the limit");
	ok(poll_until($node, "SELECT state FROM factorymon.alarms "
			  . "WHERE sensor_id = '$sensor'", 'returned_unacknowledged'),
		'returned');
	is(acknowledge($sensor), 1, 'acknowledged');
	text_for_all("$sensor: its end", qr/OVER: $sensor /);
}
foreach my $number (@numbers)
{
	my @mine = map { $_->{fields}{text} }
	  grep { $_->{fields}{to} eq $number } texts();

	is(scalar(grep { $_ =~ $once } @mine), 1, "$number: once");
}
is(scalar(grep {
			$_->{fields}{to} eq $numbers[0] && $_->{fields}{text} =~ $again
		} texts()), 1, 'nor did whoever was served get it again');
my $health = HTTP::Tiny->new->get("http://127.0.0.1:$bridge_port/healthz");
my %counts = %{ decode_json($health->{content}) };
is_deeply(
	\%counts,
	{
		status => 'ok',
		refused => 0,
		served => scalar texts(),
		later => texts('any') - texts() },
	'the bridge has counted what the gateway has');

$prometheus->stop;
$alertmanager->stop;
$dashboard->stop;
$node->stop;
done_testing();
