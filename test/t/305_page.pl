# The page in a browser: what it shows is what the tables hold, it follows what
# happens, says what it does not know, and can be read and used by everybody.
#
# FACTORYMON_PAGE_TESTS="figures live" runs only these of test/page;
# FACTORYMON_PAGE_PICTURES=FOLDER keeps pictures there, which must exist and be
# writable for whoever runs this (tools/unprivileged).  What waits for producers
# or readings to be missed runs with FACTORYMON_LONG=1.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonDashboard;
use FactorymonPage;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $packages = page_packages();
my $broker = start_broker(topics => [ 'sensor-data:3', 'alerts:1' ]);
my $node = new_node(conf => "factorymon.restart_delay_min = '500ms'");

sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
CREATE DATABASE fresh;
QUERY
$node->safe_psql('fresh', <<'QUERY');
CREATE EXTENSION factorymon;
SELECT factorymon.grant_access('reader', 'watcher');
QUERY
create_pipeline($node, $broker, workers => 3, options => quick_options());
ok(running($node), 'every partition runs');

# Some that broke, before; and those that live.  Without anomalies of their own:
# alarms come when the test wants them.
is(run_producer(kafka => $broker, malformed => 1, count => 120, rate => 1000,
		seed => 7, heartbeat => 0)->{rc}, 0, 'messages that are none');
my %producer =
  map { $_ => start_line($_) } qw(temperature vibration energy);
ok(poll_until($node, 'SELECT count(*) FROM factorymon.latest_readings', 30),
	'sensors send');
my $dashboard = start_dashboard($node, role => 'watcher');
my $fresh = start_dashboard($node, role => 'watcher', database => 'fresh');

sub start_line
{
	my ($type) = @_;

	return start_producer(kafka => $broker, sensor_type => $type, sensors => 10,
		sensor_id => 'hall', producer_id => "$type-line", rate => 10,
		heartbeat => 1, anomalies => 'none', seed => 7,
		malformed => $type eq 'energy' ? 0.02 : 0);
}

sub signal_producers
{
	my ($signal) = @_;

	$_->kill($signal) foreach values %producer;
	return;
}

my %answers = (
	sql => sub { return sql($node, $_[0]) },
	producers => \&signal_producers,
	kill_producer => sub {
		$producer{ $_[0] }->kill('KILL');
		return (delete $producer{ $_[0] })->wait->{rc};
	},
	start_producer => sub {
		$producer{ $_[0] } = start_line($_[0]);
		return;
	},
	database => sub {
		$_[0] eq 'stop' ? $node->stop('immediate') : $node->start;
		return;
	},
	dashboard => sub { return $dashboard->process->kill($_[0]) },
	fresh => sub { return 'http://localhost:' . $fresh->port . '/' });

my $tests = $ENV{FACTORYMON_PAGE_TESTS}
  || 'figures looks settings live tabs states failures'
  . ($ENV{FACTORYMON_PAGE_PICTURES} ? ' pictures' : '');
run_page($packages, $dashboard, [ split / /, $tests ], %answers);
is($fresh->stop->{rc}, 0, 'the other dashboard ends');
is($dashboard->stop->{rc}, 0, 'the dashboard ends');
$node->stop;
done_testing();
