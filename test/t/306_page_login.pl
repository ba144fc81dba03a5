# Logging in to the page, and handling alarms there, by keyboard alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonDashboard;
use FactorymonLogin;
use FactorymonPage;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $packages = page_packages();
my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $start = time - 600;

create_pipeline($node, $broker, workers => 2, options => quick_options(),
	alert_topic => '');
setup_people($node);
ok(running($node), 'every partition runs');

# A reading of the sensor, minutes after the start.
sub reading
{
	my ($sensor, $at, $value) = @_;

	return run_producer(kafka => $broker, count => 1, heartbeat => 0, seed => 7,
		sensor_id => $sensor, sensor_type => 'temperature', anomalies => 'none',
		base_value => $value, start => '@' . ($start + 60 * $at))->{rc};
}

is(reading($_, 1, 120), 0, "$_: too hot") foreach qw(oven saw);
comes_to($node, state_of($_), 'active_unacknowledged', $_)
  foreach qw(oven saw);
my $dashboard = start_dashboard($node, role => 'watcher');

run_page($packages, $dashboard, ['login'],
	sql => sub { return sql($node, $_[0]) },
	reading => \&reading,
	password => sub {
		my $bytes = password_of($_[0]);

		utf8::encode($bytes);
		return $bytes;
	});
is($dashboard->stop->{rc}, 0, 'the dashboard ends');
unlike($dashboard->process->stderr, qr/\Q@{[ password_of('anna') ]}\E/,
	'its log has no password');
$node->stop;
done_testing();
