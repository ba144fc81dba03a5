# Debian's Prometheus and the dashboard: promtool finds nothing to say about
# the metrics and the rules, the rules do what their tests say, and a real
# server that scrapes gets from a reading to an alert, and to its end.  What
# comes of an alert is the next test's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonPrometheus;
use FactorymonTest;
use Test::More;

my $config = FactorymonTest::repo_path('docker/prometheus');

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

my ($broker, $node) = start_plant();
is(run_producer(kafka => $broker, sensors => 5, count => 100, seed => 7,
		rate => 1000, heartbeat => 1)->{rc}, 0, 'readings');
ok(poll_until($node, 'SELECT messages FROM factorymon.message_counters', 100),
	'arrive');
my $dashboard = start_dashboard($node, role => 'watcher');
my ($rc, $said) = promtool($dashboard->get('/metrics')->{content},
	'check', 'metrics');
is("$rc $said", '0 ', 'promtool check metrics');

my $server = start_prometheus($prometheus, $dashboard);

sub comes_to { return $server->comes_to(@_) }

comes_to('up{job="factorymon"}', 'job', 'factorymon=1',
	'it is scraped');
comes_to('factorymon_readings_total', 'pipeline', 'sensor-data=100',
	'readings are counted');
comes_to('factorymon_duplicates_total', 'pipeline', 'sensor-data=0',
	'nothing came twice');
comes_to('sum by (state) (factorymon_history_files)', 'state',
	'archived=0 failed=0 restored=0 stale=0', 'history files by state');
comes_to('factorymon_retention_waiting_seconds', 'level',
	'alarms=0 days=0 hours=0 ledger=0 minutes=0 readings=0 rejects=0', 'nothing waits to be dropped');
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
my $hot = '{sensor_id="hot",condition="limit"}';
comes_to("factorymon_alarm_limit$hot", 'sensor_id', 'hot=-50',
	'with its limit');
comes_to("factorymon_alarm_value$hot", 'sensor_id', 'hot='
	  . sql($node, q{SELECT value FROM factorymon.alarms
			WHERE sensor_id = 'hot' AND condition = 'limit'}), 'and value');
comes_to("time() - factorymon_alarm_since_timestamp_seconds$hot < bool 600",
	'x', '=1', 'and time');
comes_to("factorymon_alarm_present$hot", 'sensor_id', 'hot=1', 'there');
comes_to("factorymon_alarm_active$hot", 'position', sql($node, <<'QUERY'),
SELECT factory_section || '=1' FROM factorymon.alarms
WHERE sensor_id = 'hot' AND condition = 'limit'
QUERY
	'somebody looks after it');
comes_to('factorymon_flood', 'position', sql($node, <<'QUERY'),
SELECT string_agg(position || '=0', ' ' ORDER BY position COLLATE "C")
FROM factorymon.operating_positions
QUERY
	'nobody has too many');
sql($node, 'UPDATE factorymon.threshold SET critical_high = 1000');
is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
		sensor_id => 'hot', sensor_type => 'temperature', seed => 7)->{rc},
	0, 'a reading below it');
comes_to('ALERTS{alertname="PlantAlarm",sensor_id="hot"}', 'sensor_id',
	'hot=1', 'nobody has acknowledged it: it stays');
comes_to("factorymon_alarm_present$hot", 'sensor_id', 'hot=0',
	'but has returned');
comes_to("factorymon_alarm_limit$hot", 'sensor_id', '',
	'there is no limit that it has reached');
sql($node, "SELECT factorymon.acknowledge(announced_event_id) "
		. "FROM factorymon.alarms WHERE sensor_id = 'hot'");
comes_to('ALERTS{alertname="PlantAlarm",sensor_id="hot"}', 'sensor_id', '',
	'acknowledged, it is over');
my $others = sql($node, q{SELECT count(*) FROM factorymon.alarms
	WHERE announced_event_id IS NOT NULL AND state <> 'normal'});
cmp_ok($others, '>', 0, 'there are other alarms');
$node->stop;
comes_to('factorymon_up', 'job', 'factorymon=0', 'the database is gone');
comes_to('ALERTS{alertname="FactorymonUnreachable"}', 'alertstate', 'pending=1',
	'which is about to be an alert');
comes_to('count(ALERTS{alertname="PlantAlarm"}'
		. ' and on() max_over_time(factorymon_up[3s]) == 0)',
	'x', "=$others", 'no alarm is over because nobody can look');
$server->stop;
$dashboard->stop;
done_testing();
