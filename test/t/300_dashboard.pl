# The dashboard as a service: its answers against independent queries over the
# base tables, its manners as an HTTP server, the stream of events, what it does
# without a database, and that many clients cost the database no more than one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonCheck;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my @endpoints = qw(system-status consumer-health producer-health
  partition-assignment real-time-metrics recent-alerts alarms);

create_pipeline($node, $broker, workers => 2, options => quick_options(),
	alert_topic => '');
sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
ALTER ROLE watcher SET log_statement = 'all';
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO factorymon.threshold (sensor_type, critical_high, warning_high,
	critical_low, warning_low)
VALUES ('temperature', -50, -60, NULL, NULL),
	('vibration', NULL, NULL, 9000, 9001);
QUERY
is(run_producer(kafka => $broker, sensors => 10, count => 490, seed => 7,
		rate => 1000, heartbeat => 1)->{rc}, 0, 'readings');
is(run_producer(kafka => $broker, count => 10, seed => 7, rate => 1000,
		sensor_id => 'shaker', sensor_type => 'vibration', heartbeat => 0)->{rc},
	0, 'of another type, too');
is(run_producer(kafka => $broker, malformed => 1, count => 7, seed => 7,
		rate => 1000, heartbeat => 0)->{rc}, 0, 'and some that are none');
ok(poll_until($node, 'SELECT messages, rejected '
			. 'FROM factorymon.message_counters', '500|7'), 'arrive');
my $dashboard = start_dashboard($node, role => 'watcher');

sub count_of
{
	my ($query) = @_;

	return sql($node, "SELECT count(*) FROM $query");
}

# What came is what is there, asked of the tables themselves.
my $status = $dashboard->get('/api/system-status')->{json};
is($status->{database}{state}, 'up', 'the database is up');
is(scalar @{ $status->{pipelines} }, 1, 'there is one pipeline');
my $pipeline = $status->{pipelines}[0];
is($pipeline->{state}, 'running', 'it runs');
is($pipeline->{workers_running}, 2, 'with two workers');
is($pipeline->{partitions_running}, 3, 'three partitions');
is($pipeline->{lag_messages}, 0, 'at the end of the log');
is($pipeline->{readings}, count_of('_factorymon.reading'), 'readings');
is($pipeline->{rejected}, count_of('_factorymon.reject'), 'rejects');
cmp_ok($pipeline->{rejected}, '>', 0, 'of which there are some');
is($pipeline->{alarms_critical}, count_of('_factorymon.alarm '
		. "WHERE state <> 'normal' AND level & 3 = 2"), 'critical alarms');
cmp_ok($pipeline->{alarms_critical}, '>', 0, 'of which there are some');
is($pipeline->{alarms_unacknowledged}, count_of('_factorymon.alarm '
		. "WHERE state LIKE '%unacknowledged'"), 'those that wait');

my $consumers = $dashboard->get('/api/consumer-health')->{json}{consumers};
is_deeply([ sort map { $_->{pid} } @$consumers ],
	[ sort { $a <=> $b } worker_pids($node) ], 'consumers are the workers');
is_deeply([ sort map { @{ $_->{partitions} } } @$consumers ], [ 0, 1, 2 ],
	'each partition has one');
my $assignment = $dashboard->get('/api/partition-assignment')->{json};
is_deeply({ map { $_->{kafka_partition} => $_->{position} }
		@{ $assignment->{partitions} } },
	{ map { split /\|/ } split /\n/, sql($node, <<'QUERY') }, 'positions');
SELECT kafka_partition, position FROM _factorymon.partition_offset
	JOIN _factorymon.stream USING (stream_id)
QUERY
is(scalar @{ $assignment->{activity} }, count_of('_factorymon.event'),
	'what happened to partitions');
my $producers = $dashboard->get('/api/producer-health')->{json}{producers};
is(scalar @$producers, count_of(
		'(SELECT DISTINCT producer_id FROM _factorymon.producer) AS p'),
	'producers');
my $metrics = $dashboard->get('/api/real-time-metrics')->{json};
is($metrics->{pipelines}[0]{messages} + $metrics->{pipelines}[0]{rejected},
	507, 'messages');
my $alarms = $dashboard->get('/api/alarms')->{json}{alarms};
is(scalar @$alarms, count_of("_factorymon.alarm WHERE state <> 'normal'"),
	'alarms');
is($alarms->[0]{level}, 'critical', 'the worst come first');
my $recent = $dashboard->get('/api/recent-alerts?limit=1000')->{json}{alerts};
is(scalar(grep { $_->{kind} eq 'alarm' } @$recent),
	count_of('_factorymon.publication'), 'recent alerts: alarms');
my %side = map { split /\|/ } split /\n/, sql($node,
	"SELECT event_id, coalesce(side, 'none') FROM factorymon.alerts");
is_deeply({ map { $_->{event_id} => $_->{side} // 'none' }
		grep { $_->{kind} eq 'alarm' && $_->{condition} eq 'limit' } @$recent },
	\%side, 'with the side of the limit');
is(join(' ', sort keys %{ { reverse %side } }), 'high low', 'of which both are');
is(scalar(grep { $_->{kind} eq 'pipeline' } @$recent),
	count_of('_factorymon.event'), 'and events of pipelines');
# without the Z, behind which a shorter fraction would come later
my @times = map { $_->{at} =~ s/Z$//r } @$recent;
is_deeply(\@times, [ sort { $b cmp $a } @times ], 'the newest come first');

is($dashboard->objections(map { "/api/$_" } @endpoints), '',
	'all is as described');

# Limits, parameters
my $few = $dashboard->get('/api/recent-alerts?limit=3')->{json};
is(scalar @{ $few->{alerts} }, 3, 'no more than asked for');
ok($few->{truncated}, 'and it says that there are more');
is_deeply($few->{alerts}, [ @$recent[ 0 .. 2 ] ], 'the same ones');
foreach (
	[ 'limit=0', 'must be a number from 1 to 1000' ],
	[ 'limit=x', 'must be a number from 1 to 1000' ],
	[ 'limit=05', 'must be a number from 1 to 1000' ],
	[ 'limit=%ff', 'is not UTF-8' ],
	[ '%c3%28=1', 'is not UTF-8' ],
	[ 'limit', 'needs a value' ],
	[ 'colour=red', 'there is no parameter "colour"' ])
{
	my ($query, $detail) = @$_;
	my $answer = $dashboard->get("/api/recent-alerts?$query");

	is($answer->{status}, 400, "$query: refused");
	like($answer->{json}{detail}, qr/\Q$detail\E/, 'with the reason');
}
is(scalar @{ $dashboard->get('/api/alarms?pipeline=other')->{json}{alarms} },
	0, 'of another pipeline there is none');
is($dashboard->get("/api/alarms?pipeline=%27%22%3B--")->{status}, 200,
	'a parameter is no SQL');

# Manners
is($dashboard->get('/healthz')->{content}, "ok\n", 'it is alive');
is($dashboard->get('/api/nothing')->{status}, 404, 'there is nothing');
is($dashboard->get('/api/nothing')->{headers}{'content-type'},
	'application/problem+json', 'which is a problem');
my $post = $dashboard->get('/api/system-status', method => 'POST');
is($post->{status}, 405, 'nothing is changed by asking');
is($post->{headers}{allow}, 'GET, HEAD', 'it says what would do');
my $head = $dashboard->get('/api/alarms', method => 'HEAD');
is("$head->{status} " . ($head->{content} // ''), '200 ', 'HEAD is brief');
is($dashboard->raw("GET /healthz HTTP/1.1\r\nHost: $_->[0]\r\n"), $_->[1],
	"Host: $_->[0]")
  foreach ([ 'evil.example', 403 ], [ 'localhost:5000', 200 ],
	[ '[::1]:5000', 200 ], [ '10.1.2.3', 200 ], [ 'localhost.evil.example', 403 ],
	[ '', 403 ]);
is($dashboard->raw("GET /healthz HTTP/1.1\r\n"), 403, 'without a name');
is($dashboard->raw('GET /healthz HTTP/1.1', 'X: ' . 'x' x 20000), 431,
	'headers of some length');
my $policy = $dashboard->get('/healthz')->{headers};
like($policy->{'content-security-policy'}, qr/^default-src 'none';/,
	'a policy for content');
is($policy->{'x-content-type-options'}, 'nosniff', 'and for types');
my $etag = $dashboard->get('/api/partition-assignment')->{headers}{etag};
my $again = $dashboard->get('/api/producer-health');
like($again->{headers}{etag}, qr/^W\/"[0-9a-f]{16}"$/, 'answers have tags');

# Metrics
my $text = $dashboard->get('/metrics')->{content};
my @wrong = grep {
	!/^# (HELP|TYPE) factorymon_\w+ /
	  && !/^factorymon_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? [-+0-9.eInfNa]+$/
} split /\n/, $text;
is("@wrong", '', 'metrics are well formed');
like($text, qr/^factorymon_up 1$/m, 'up');
like($text, qr/^factorymon_readings_total\{pipeline="sensor-data"\} $pipeline->{readings}$/m,
	'readings');
is(scalar(() = $text =~ /^factorymon_partition_lag_messages\{.*\} 0$/mg), 3,
	'no lag in three partitions');
is(scalar(() = $text =~ /^factorymon_worker_up\{.*\} 1$/mg), 2, 'two workers');
my ($buckets) = $text =~
  /^factorymon_batch_duration_seconds_bucket\{pipeline="sensor-data",worker="1",le="\+Inf"\} (\d+)$/m;
my ($batches) = $text =~
  /^factorymon_batch_duration_seconds_count\{pipeline="sensor-data",worker="1"\} (\d+)$/m;
is($buckets, $batches, 'every batch is in a bucket');
is(scalar(() = $text =~ /^factorymon_alarm_active\{.*severity="critical".*\} 1$/mg),
	$pipeline->{alarms_critical}, 'active alarms');

# However many ask, the database is asked once a second.
my $log = -s $node->logfile;
my $began = FactorymonTest::now();
my %answers;
$answers{ $dashboard->get('/api/consumer-health')->{status} }++
  while FactorymonTest::now() < $began + 2.5;
my $seconds = FactorymonTest::now() - $began;
is_deeply([ keys %answers ], [200], 'all requests are answered');
cmp_ok($answers{200}, '>', 100, 'of which there are many');
my $asked = () = FactorymonTest::_slurp_from($node->logfile, $log) =~
  /SELECT \* FROM factorymon\.consumer_health/g;
cmp_ok($asked, '>', 0, 'by the database');
cmp_ok($asked, '<=', 1 + $seconds, 'which was asked once a second at most');

# The stream of events
my $stream = $dashboard->stream;
like($stream->head, qr{^HTTP/1.1 200 .*content-type: text/event-stream}is,
	'a stream of events');
is($stream->next_event('status')->{json}{database}, 'up', 'it says how we are');
ok($stream->next_event('tick')->{json}{at}, 'it ticks');
is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
		sensor_id => 'first', sensor_type => 'temperature', seed => 7)->{rc},
	0, 'an alarm');
my $first = $stream->next_event('alarm');
is("$first->{json}{sensor_id} $first->{json}{transition}", 'first raised',
	'is told');
is($first->{id}, 'sensor-data:' . sql($node,
		'SELECT max(pub_seq) FROM _factorymon.publication'),
	'with where we are');
$stream->close;
# (One after the other: sensors of two workers have no order.)
foreach my $sensor (qw(second third))
{
	is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
			sensor_id => $sensor, sensor_type => 'temperature', seed => 7)->{rc},
		0, "while nobody listens: $sensor");
	ok(poll_until($node, 'SELECT count(*) FROM _factorymon.publication '
				. "WHERE message_key = '$sensor'", 1), 'an alarm');
}
$stream = $dashboard->stream($first->{id});
is(join(' ', map { $stream->next_event('alarm')->{json}{sensor_id} } 1, 2),
	'second third', 'who comes back gets what was missed');
foreach my $id ('sensor-data:0,other', 'other:0', 'sensor-data:999999')
{
	my $lost = $dashboard->stream($id);

	is($lost->next_event('reset')->{id}, 'sensor-data:' . sql($node,
			'SELECT max(pub_seq) FROM _factorymon.publication'),
		"who comes with $id begins anew");
	$lost->close;
}
my $fresh = $dashboard->stream;
is($fresh->next_event('tick')->{id}, 'sensor-data:' . sql($node,
		'SELECT max(pub_seq) FROM _factorymon.publication'),
	'who is new knows where we are');
$fresh->close;
is($dashboard->get('/api/stream', method => 'HEAD')->{status}, 200,
	'HEAD opens no stream');

# Connections that are lost, and such as fall silent
my $log_end = -s $node->logfile;
sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE usename = 'watcher'});
ok(FactorymonTest::poll_while('LISTEN', sub {
		FactorymonTest::_slurp_from($node->logfile, $log_end) =~
		  /LISTEN factorymon_alerts/ }), 'it listens again');
is($dashboard->get('/api/alarms')->{status}, 200,
	'a connection that was lost is no matter');
my $single = start_dashboard($node, role => 'watcher',
	args => [ '--connections', 1 ]);
is($single->get('/api/alarms')->{status}, 200, 'one connection will do');
my @pids = split /\n/, sql($node,
	q{SELECT pid FROM pg_stat_activity WHERE usename = 'watcher'});
kill 'STOP', @pids;
my $asked_at = FactorymonTest::now();
is($single->get('/api/partition-assignment')->{status}, 503,
	'a server that says nothing is not waited for');
cmp_ok(FactorymonTest::now() - $asked_at, '<', 25, 'for ever');
ok(FactorymonTest::poll_while('an answer', sub {
		$single->get('/api/partition-assignment')->{status} == 200 }),
	'another connection answers');
kill 'CONT', @pids;
is($single->stop->{rc}, 0, 'it ends');

# Without a database
$node->stop('immediate');
is($stream->next_event('status')->{json}{database}, 'down',
	'the stream says that the database is down');
my $down;
ok(FactorymonTest::poll_while('the state of the database', sub {
		$down = $dashboard->get('/api/system-status');
		$down->{json}{database}{state} eq 'down' }), 'so does the status');
is($down->{status}, 200, 'which is an answer');
is($down->{json}{pipelines}, undef, 'nothing is known of pipelines');
like($down->{json}{database}{error}, qr/^(cannot_connect|connection_lost)$/,
	'but why');
foreach (grep { $_ ne 'system-status' } @endpoints)
{
	my $answer = $dashboard->get("/api/$_");

	is("$answer->{status} $answer->{headers}{'retry-after'}", '503 2',
		"$_: later");
}
is($dashboard->objections((map { "/api/$_" } @endpoints),
		'/api/alarms?limit=0'), '', 'all that is as described, too');
is($dashboard->get('/healthz')->{status}, 200, 'it is alive all the same');
like($dashboard->get('/metrics')->{content}, qr/^factorymon_up 0$/m,
	'and metrics say it');
$node->start;
is($stream->next_event('status')->{json}{database}, 'up', 'it comes back');
ok(FactorymonTest::poll_while('answers', sub {
		!grep { $dashboard->get("/api/$_")->{status} != 200 } @endpoints }),
	'and everything is answered');

# Whoever may not read is told so.
sql($node, 'CREATE ROLE nobody LOGIN');
my $blind = start_dashboard($node, role => 'nobody');
my $denied = $blind->get('/api/alarms');
is($denied->{status}, 500, 'a role without rights');
is($denied->{json}{code}, 'database_forbids', 'knows that');
unlike($denied->{content}, qr/permission denied/, 'but not what exactly');
like($blind->process->stderr,
	qr/permission denied for schema factorymon \(id $denied->{json}{id}\)/,
	'which is in the log');
like($blind->get('/metrics')->{content}, qr/^factorymon_up 0$/m,
	'and metrics do not pretend');
is($blind->stop->{rc}, 0, 'it ends');

# Usage
my $ended = $dashboard->stop;
is($ended->{rc}, 0, 'a signal ends it');
my $program = FactorymonTest::repo_path('dashboard/factorymon-dashboard');
like(run_program([ $program, '--help' ])->{stdout}, qr/--database URL, or DATABASE_URL/,
	'help');
is(run_program([ $program, '--port', 'x' ])->{rc}, 2, 'wrong usage');
is(run_program([ $program, '--host', '192.0.2.1' ])->{rc}, 1,
	'an address that is not ours');

$node->stop;
done_testing();
