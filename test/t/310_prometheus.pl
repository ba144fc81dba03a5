# Debian's Prometheus and the dashboard: promtool finds nothing to say about the
# metrics and the rules, the rules do what their tests say, and a real server
# that scrapes gets from a reading to an alert, and to its end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonCheck;
use FactorymonDashboard;
use FactorymonTest;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $config = FactorymonTest::repo_path('docker/prometheus');
my $folder = PostgreSQL::Test::Utils::tempdir();

my ($promtool, $prometheus) = map { debian_program('prometheus', $_) }
  qw(promtool prometheus);
plan skip_all => 'Debian\'s package prometheus cannot be had'
  unless $promtool && $prometheus;

sub promtool
{
	my ($input, @arguments) = @_;
	my $result = run_program([ $promtool, @arguments ],
		defined $input ? (stdin => $input) : ());

	return ($result->{rc}, $result->{stdout} . $result->{stderr});
}

foreach (
	[ 'check', 'rules', "$config/rules.yml" ],
	[ 'test', 'rules', "$config/rules.test.yml" ],
	[ 'check', 'config', "$config/prometheus.yml" ])
{
	my ($rc, $said) = promtool(undef, @$_);

	is($rc, 0, "promtool @$_[0, 1]") or diag $said;
}

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
create_pipeline($node, $broker, workers => 1, options => quick_options(),
	alert_topic => '');
sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO factorymon.threshold (sensor_type, critical_high)
VALUES ('temperature', -50);
QUERY
is(run_producer(kafka => $broker, sensors => 5, count => 100, seed => 7,
		rate => 1000, heartbeat => 1)->{rc}, 0, 'readings');
ok(poll_until($node, 'SELECT messages FROM factorymon.message_counters', 100),
	'arrive');
my $dashboard = start_dashboard($node, role => 'watcher');
my ($rc, $said) = promtool($dashboard->get('/metrics')->{content},
	'check', 'metrics');
is("$rc $said", '0 ', 'promtool check metrics');

# A server with our rules, in a hurry.
my $listener = IO::Socket::INET->new(
	Listen => 1,
	LocalAddr => '127.0.0.1') or die "listen: $!\n";
my $port = $listener->sockport;
close $listener;
append_to_file("$folder/prometheus.yml", <<"CONFIG");
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ['$config/rules.yml']
scrape_configs:
  - job_name: factorymon
    static_configs: [{targets: ['127.0.0.1:${\$dashboard->port}']}]
CONFIG
my $server = FactorymonTest::Process->start([
		$prometheus, "--config.file=$folder/prometheus.yml",
		"--storage.tsdb.path=$folder/data",
		"--web.listen-address=127.0.0.1:$port"
	], name => 'prometheus');

# Values of a query: the label named first, then the value.
sub ask
{
	my ($query, $label) = @_;
	my $answer = HTTP::Tiny->new(timeout => 10)->post_form(
		"http://127.0.0.1:$port/api/v1/query", { query => $query });

	return '' unless $answer->{status} == 200;
	return join ' ', sort
	  map { ($_->{metric}{$label} // '') . "=$_->{value}[1]" }
	  @{ decode_json($answer->{content})->{data}{result} };
}

sub comes_to
{
	my ($query, $label, $expected, $name) = @_;
	my $last;

	return ok(
		FactorymonTest::poll_while(
			$name, sub { ($last = ask($query, $label)) eq $expected }),
		$name) || diag "last: $last";
}

comes_to('up', 'job', 'factorymon=1', 'it is scraped');
comes_to('factorymon_readings_total', 'pipeline', 'sensor-data=100',
	'readings are counted');
comes_to('count(factorymon_partition_up == 1)', 'x', '=3',
	'three partitions run');
comes_to('histogram_quantile(1, sum by (le) '
		. '(factorymon_batch_duration_seconds_bucket)) > bool 0',
	'x', '=1', 'the histogram is one');
comes_to('ALERTS{alertname="PlantAlarm",alertstate="firing"} '
		. 'and on(sensor_id) factorymon_alarm_active{sensor_id="hot"}',
	'sensor_id', '', 'there is no such alarm yet');
is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
		sensor_id => 'hot', sensor_type => 'temperature', seed => 7)->{rc},
	0, 'a reading above the limit');
comes_to('ALERTS{alertname="PlantAlarm",alertstate="firing",sensor_id="hot",'
		. 'severity="critical"}', 'sensor_id', 'hot=1', 'is an alert');
sql($node, 'UPDATE factorymon.threshold SET critical_high = 1000');
is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
		sensor_id => 'hot', sensor_type => 'temperature', seed => 7)->{rc},
	0, 'a reading below it');
comes_to('ALERTS{alertname="PlantAlarm",sensor_id="hot"}', 'sensor_id',
	'hot=1', 'nobody has acknowledged it: it stays');
sql($node, "SELECT factorymon.acknowledge(announced_event_id) "
		. "FROM factorymon.alarms WHERE sensor_id = 'hot'");
comes_to('ALERTS{alertname="PlantAlarm",sensor_id="hot"}', 'sensor_id', '',
	'acknowledged, it is over');
$node->stop;
comes_to('factorymon_up', 'job', 'factorymon=0', 'the database is gone');
comes_to('ALERTS{alertname="FactorymonUnreachable"}', 'alertstate', 'pending=1',
	'which is about to be an alert');
$server->stop;
$dashboard->stop;
done_testing();
