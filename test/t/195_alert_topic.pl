
# What goes out: alarms on the topic "alerts" and by NOTIFY, at least once and
# in order for each sensor, whatever happens to brokers, to the client, to the
# publisher and to listeners.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonAlerts;
use FactorymonCheck;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my $broker = start_broker(topics => [ 'sensor-data:3', 'alerts:2' ]);
my $node = new_node(conf => <<'CONF');
factorymon.restart_delay_min = 100ms
factorymon.restart_delay_max = 1s
CONF
my $pending = 'SELECT pending FROM factorymon.publisher_health';

# What an operator does, and the answer to it.
sub act
{
	my ($query) = @_;

	sql($node, "SELECT factorymon.$query");
	poll_until($node, 'SELECT count(*) FROM factorymon.alarm_requests
		WHERE answered_at IS NULL', 0) or die "no answer to $query";
	return;
}

# Each message on the topic, however often and by whomever it was sent, is to
# the byte what the rows say.
sub messages_are_rows
{
	my ($node, $kafka) = @_;
	my %rows = map { $_ => 1 } split /\n/, sql($node, <<'QUERY');
SELECT concat_ws(E'\t', message_key,
	(extract(epoch FROM recorded_at) * 1000)::bigint,
	concat_ws(',', 'event_id=' || event_id, 'alarm_id=' || alarm_id,
		'transition=' || transition, 'severity=' || severity,
		'source_topic=' || source_topic,
		'source_partition=' || source_partition,
		'source_offset=' || source_offset), payload)
FROM _factorymon.publication WHERE to_kafka
QUERY
	my @messages = alert_messages($kafka);
	my @others = grep { !$rows{ $_->{text} } } @messages;

	is_deeply(\@others, [], 'what was sent is what the rows say, to the byte');
	my %sent = map { $_->{text} => 1 } @messages;
	is(scalar(keys %sent), scalar(keys %rows), 'and it is all of them');
	note sprintf '%d were sent again', @messages - keys %sent;
	return;
}

# Wait until Kafka has the event of this number.
sub delivered
{
	my ($number) = @_;

	return poll_until($node, "SELECT state FROM factorymon.alert_outbox
		WHERE pub_seq = $number", 'delivered');
}

sub publisher
{
	return sql($node, 'SELECT pid FROM factorymon.publisher_health');
}

# A session that listens; what it hears is in the text returned by heard().
my $listener_out = '';
my $listener_in = '';
my $listener;
sub listen_to_alerts
{
	$listener = IPC::Run::start([ 'psql', '-XAtq', '-d',
			$node->connstr('factory') ], '<', \$listener_in, '>', \$listener_out,
		'2>&1');
	$listener_in .= "LISTEN factorymon_alerts; SELECT 'listening';\n";
	$listener->pump until $listener_out =~ /listening/;
	return;
}
sub heard
{
	my ($pattern, $name) = @_;
	my $ok = 0;

	foreach my $look (1 .. 600)
	{
		$listener_in .= "SELECT 'look $look';\n";
		$listener->pump until $listener_out =~ /look $look\n/;
		last if $ok = $listener_out =~ $pattern;
		select(undef, undef, undef, 0.1);
	}
	return ok($ok, $name);
}

create_pipeline($node, $broker, workers => 2, options => quick_options(
		'reconnect.backoff.max.ms' => 500));
ok(running($node), 'every partition runs');
ok(poll_until($node, 'SELECT state FROM factorymon.publisher_health',
		'running'), 'and the publisher');
listen_to_alerts();
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_high)
VALUES ('temperature', 'hot', -50);
QUERY

# one alarm, all the way
is(run_producer(kafka => $broker, count => 1, heartbeat => 0, sensor_id => 'hot',
		sensor_type => 'temperature', seed => 7)->{rc}, 0, 'a reading');
ok(poll_until($node, "SELECT count(*) FROM factorymon.alert_outbox
	WHERE state = 'delivered'", 1), 'its alarm is delivered');
my ($message) = alert_messages($broker);
my $alert = decode_json(sql($node, "SELECT row_to_json(a) FROM factorymon.alerts a"));
my $value = $message->{value};
is($message->{key}, 'hot', 'the key is the sensor');
is($value->{schema}, 'factorymon.alert/1', 'it names its schema');
foreach (qw(event_id alarm_id seq condition transition state level side severity
	sensor_id sensor_type value unit limit deadband cause pipeline))
{
	is($value->{$_}, $alert->{$_}, "$_ is that of the history");
}
is($value->{announced}, JSON::PP::true, 'it calls for an operator');
is_deeply($value->{location}, { map { $_ => $alert->{$_} }
		qw(factory_section machine_id zone) }, 'location');
is_deeply($value->{source}, { topic => 'sensor-data',
		partition => $alert->{kafka_partition}, offset => $alert->{kafka_offset},
		reading_index => 0 }, 'source');
is_deeply($value->{previous}, { state => 'normal', level => 'normal' },
	'what it was before');
like($value->{event_time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
	'times are RFC 3339 in UTC');
is($message->{timestamp}, sql($node, "SELECT (extract(epoch FROM recorded_at) * 1000)::bigint
	FROM factorymon.alerts"), 'the message is as old as its recording');
is_deeply($message->{headers}, { event_id => $alert->{event_id},
		alarm_id => $alert->{alarm_id}, transition => 'raised', severity => 900,
		source_topic => 'sensor-data', source_partition => $alert->{kafka_partition},
		source_offset => $alert->{kafka_offset} }, 'headers');
heard(qr/"pub_seq":1,"event_id":"$alert->{event_id}"/, 'a listener hears of it');

# brokers away: listeners hear, Kafka gets it when they are back
$broker->command('broker', 'down', 'all');
act("acknowledge('$alert->{event_id}', 'away')");
heard(qr/"pub_seq":2,.*"transition":"acknowledged"/,
	'with the brokers away a listener hears of what operators do');
ok(poll_until($node, "SELECT state, last_error IS NOT NULL
	FROM factorymon.alert_outbox WHERE pub_seq = 2", 'pending|t'),
	'the row waits, and says why');
ok(poll_until($node, 'SELECT state FROM factorymon.publisher_health',
		'retrying'), 'so does the publisher');
act("suppress('hot', 'meanwhile')");
ok(poll_until($node, $pending, 2), 'more may wait');
$broker->command('broker', 'up', 'all');
ok(poll_until($node, $pending, 0), 'it is delivered when they are back');
ok(poll_until($node, 'SELECT state FROM factorymon.publisher_health',
		'running'), 'and all is well');

# refused by the brokers for a while
my $before = sql($node, 'SELECT max(pub_seq) FROM factorymon.alert_outbox');
$broker->command('request-errors', 'Produce', 'TOPIC_AUTHORIZATION_FAILED*4');
act("unsuppress('hot')");
act("comment('$alert->{event_id}', 'x')");
ok(poll_until($node, "SELECT count(*) FROM factorymon.alert_outbox
	WHERE pub_seq > $before AND state = 'delivered'", 2),
	'what was refused is tried again');
is(sql($node, "SELECT bool_or(attempts > 1 AND last_error IS NOT NULL)
	FROM factorymon.alert_outbox WHERE pub_seq > $before"), 't',
	'and the row has counted it');

# refused for good: what its sensor has behind it waits, nobody else does
my $pid = publisher();
sql($node, q{ALTER SERVER plant OPTIONS (ADD "message.max.bytes" '2500');
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_high)
VALUES ('temperature', 'warm', -50)});
ok(poll_until($node, "SELECT pid IS NOT NULL AND pid <> $pid
	FROM factorymon.publisher_health", 't'), 'a publisher with other options');
$before = sql($node, 'SELECT max(pub_seq) FROM factorymon.alert_outbox');
act("comment('$alert->{event_id}', repeat('x', 3000))");
act("comment('$alert->{event_id}', 'behind it')");
ok(poll_until($node, "SELECT last_error IS NOT NULL FROM factorymon.alert_outbox
	WHERE pub_seq = $before + 1", 't'), 'a message that is too large is refused');
is(run_producer(kafka => $broker, count => 1, heartbeat => 0, sensor_id => 'warm',
		sensor_type => 'temperature', seed => 7)->{rc}, 0, 'another sensor');
ok(poll_until($node, "SELECT state FROM factorymon.alert_outbox
	WHERE message_key = 'warm'", 'delivered'), 'its alarm goes out');
is(sql($node, "SELECT string_agg(state, ' ') FROM factorymon.alert_outbox
	WHERE pub_seq > $before AND message_key = 'hot'"), 'pending pending',
	'while the first one waits');
sql($node, q{ALTER SERVER plant OPTIONS (DROP "message.max.bytes")});
ok(poll_until($node, $pending, 0), 'until it can go out');

# without a server listeners go on
sql($node, 'ALTER SERVER plant RENAME TO elsewhere');
$before = sql($node, 'SELECT max(pub_seq) FROM factorymon.alert_outbox') + 1;
act("comment('$alert->{event_id}', 'no server')");
heard(qr/"pub_seq":$before,/, 'a pipeline without a server tells its listeners');
ok(poll_until($node, "SELECT last_error ~ 'plant' FROM factorymon.publisher_health",
		't'), 'and its publisher says what is missing');
sql($node, 'ALTER SERVER elsewhere RENAME TO plant');
ok(poll_until($node, $pending, 0), 'Kafka gets it when the server is back');

# the client is lost
$broker->command('request-errors', 'Produce', 'INVALID_PRODUCER_EPOCH');
$broker->command('request-errors', 'Produce', 'OUT_OF_ORDER_SEQUENCE_NUMBER');
act("shelve('hot', '1 hour', 'lost')");
act("unshelve('hot')");
ok(poll_until($node, $pending, 0), 'a lost client is replaced by another one');
$broker->command('clear-errors', 'Produce');
alerts_are_in_order($node, $broker, 'after refusals');

# many sensors, and a publisher that ends again and again
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, warning_high, critical_high)
VALUES ('temperature', 25, 30), ('humidity', 45, 50), ('pressure', 6, 7),
	('vibration', 2, 3), ('energy', 100, 120);
QUERY
my $producer = start_producer(kafka => $broker, sensors => 40, rate => 2500,
	count => 20000, seed => 3, heartbeat => 0);
my $ended = 0;
foreach my $turn (1 .. 6)
{
	my $pid = publisher();

	poll_until($node, "SELECT count(*) >= $turn * 60
		FROM factorymon.alert_outbox", 't');
	sql($node, "SELECT pg_terminate_backend($pid)") if $pid ne '';
	ok(poll_until($node, "SELECT pid IS NOT NULL AND pid::text <> '$pid'
		FROM factorymon.publisher_health", 't'), 'another publisher runs');
}
is($producer->wait->{rc}, 0, 'readings');
ok(caught_up($node, 20002), 'all are stored');
ok(poll_until($node, $pending, 0), 'all alarms are delivered');
cmp_ok(alerts_are_in_order($node, $broker, 'with publishers that end'), '>', 300,
	'there were many of them');
is(sql($node, "SELECT count(*), max(pub_seq) - min(pub_seq) + 1
	FROM factorymon.alert_outbox") =~ /^(\d+)\|\1$/ ? 'dense' : 'not', 'dense',
	'the numbers have no gaps');
is(sql($node, "SELECT count(*) FROM _factorymon.transition t
	FULL JOIN _factorymon.publication o USING (stream_id, out_seq)
	WHERE t.out_seq IS NOT NULL AND (o.pub_seq IS NULL OR t.event_id IS NULL)"), 0,
	'each outgoing transition has one');
is(sql($node, 'SELECT sum(low + medium + high) - (SELECT count(*)
	FROM _factorymon.publication WHERE announced AND stream_id IS NOT NULL)
	FROM _factorymon.alarm_bin'), 0, 'and key figures count each of them once');
messages_are_rows($node, $broker);

# the server is killed with events on their way
$broker->command('broker', 'down', 'all');
act("suppress('hot', 'crash')");
ok(poll_until($node, $pending, 1), 'one waits');
$node->stop('immediate');
$broker->command('broker', 'up', 'all');
$node->start;
ok(poll_until($node, $pending, 0), 'it is delivered after the crash');
alerts_are_in_order($node, $broker, 'after a crash');
$listener->finish if eval { $listener->kill_kill; 0 };

# a listener that never reads on holds up nobody
my $idle_in = '';
my $idle_out = '';
my $idle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('factory') ],
	'<', \$idle_in, '>', \$idle_out, '2>&1');
$idle_in .= "LISTEN factorymon_alerts; BEGIN; SELECT 'open';\n";
$idle->pump until $idle_out =~ /open/;
my $count = sql($node, 'SELECT count(*) FROM factorymon.sensor_readings');
is(run_producer(kafka => $broker, sensors => 40, rate => 0, count => 2000,
		seed => 4, heartbeat => 0)->{rc}, 0, 'more readings');
ok(poll_until($node, 'SELECT count(*) FROM factorymon.sensor_readings',
		$count + 2000), 'are stored beside a listener idle in a transaction');
ok(poll_until($node, $pending, 0), 'and their alarms delivered');
$idle->kill_kill;

# No topic, another topic: each holds for what is committed after the change,
# whoever numbers it.
$before = sql($node, 'SELECT max(pub_seq) FROM factorymon.alert_outbox');
$node->safe_psql('factory', qq{
	SELECT factorymon.alter_pipeline('sensor-data', alert_topic => '');
	SELECT factorymon.unsuppress('hot');});
ok(poll_until($node, "SELECT state FROM factorymon.alert_outbox
	WHERE pub_seq = $before + 1", 'not_for_kafka'),
	'without a topic, what there is is numbered');
ok(poll_until($node, "SELECT alert_topic IS NULL, state
	FROM factorymon.publisher_health", 't|running'), 'and it runs on');
$node->safe_psql('factory', qq{
	SELECT factorymon.alter_pipeline('sensor-data', alert_topic => 'other');
	SELECT factorymon.suppress('hot', 'elsewhere');});
ok(delivered($before + 2), 'another topic gets what comes from then on');
ok(poll_until($node, "SELECT alert_topic, state FROM factorymon.publisher_health",
	'other|running'), 'and the publisher says so');
$node->safe_psql('factory', qq{
	SELECT factorymon.alter_pipeline('sensor-data', alert_topic => 'third');
	SELECT factorymon.unsuppress('hot');});
ok(delivered($before + 3), 'and so does a third one');
is(scalar(alert_messages($broker, 'third')), 1, 'alone what came after it');
is(scalar(alert_messages($broker, 'other')), 1, 'and nothing of before');

# what is wrong is said at once
my ($rc, $out, $err) = $node->psql('factory',
	"SELECT factorymon.alter_pipeline('sensor-data', alert_topic => 'sensor-data')");
like($err, qr/alert_topic must not be the topic of the readings/,
	'alarms do not go among the readings');

# nothing of what goes out outlives its pipeline
act("suppress('hot', 'the last')");
sql($node, "SELECT factorymon.drop_pipeline('sensor-data')");
ok(poll_until($node, "SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'factorymon publisher'", 0), 'the publisher ends');
is(sql($node, 'SELECT (SELECT count(*) FROM _factorymon.publication),
	(SELECT count(*) FROM _factorymon.delivery)'), '0|0',
	'and leaves nothing behind');

$node->stop;
done_testing();
