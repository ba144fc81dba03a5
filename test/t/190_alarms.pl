
# The life of an alarm as operators see it: acknowledged, shelved, out of
# service, by requests that the owner of the stream answers, also while the
# pipeline is paused, while an operator's transaction is open, and after the
# server was stopped hard.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $alarm = <<'QUERY';
SELECT concat_ws(' ', shown_state, state, level) FROM factorymon.alarms
WHERE sensor_id = 'hot'
QUERY
my $last = <<'QUERY';
SELECT concat_ws(' ', transition, state, cause, "by", comment,
	CASE WHEN announced THEN 'announced' END, blocked_by)
FROM factorymon.alerts WHERE sensor_id = 'hot'
ORDER BY recorded_at DESC, seq DESC LIMIT 1
QUERY
my $event = q{SELECT announced_event_id FROM factorymon.alarms
	WHERE sensor_id = 'hot'};
my $answers = <<'QUERY';
SELECT string_agg(concat_ws(': ', action, outcome, answer), '; '
	ORDER BY requested_at)
FROM factorymon.alarm_requests WHERE answered_at IS NOT NULL
QUERY

# All readings of this sensor are above the limit or below it, as we say.
sub limit
{
	my ($value) = @_;

	sql($node, <<"QUERY");
UPDATE factorymon.threshold SET critical_high = $value WHERE sensor_id = 'hot'
QUERY
	return;
}

# (One reading in fifty is of bad quality: not with this seed.)
sub reading
{
	is(run_producer(kafka => $broker, count => 1, heartbeat => 0,
			sensor_id => 'hot', sensor_type => 'temperature', seed => 7)->{rc},
		0, 'a reading');
	return;
}

# What an operator does: text, or the error's SQLSTATE.
sub operate
{
	my ($query) = @_;
	my ($out, $err);

	$node->psql('factory', "SET ROLE operator; SELECT factorymon.$query",
		stdout => \$out, stderr => \$err, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	return $err =~ /ERROR:\s+(\w+)/ ? $1 : $out;
}

sub comes_to
{
	my ($query, $expected, $name) = @_;

	return ok(poll_until($node, $query, $expected), "$name: $expected");
}

create_pipeline($node, $broker, workers => 2, options => quick_options());
ok(running($node), 'every partition runs');
sql($node, <<'QUERY');
CREATE ROLE operator;
SELECT factorymon.grant_access('operator', 'operator');
CREATE ROLE reader;
SELECT factorymon.grant_access('reader', 'reader');
INSERT INTO factorymon.threshold (sensor_type, sensor_id, critical_high)
VALUES ('temperature', 'hot', -50);
QUERY

# acknowledged, by whoever saw the last announcement
reading();
comes_to($alarm, 'active_unacknowledged active_unacknowledged critical',
	'raised');
my $first = sql($node, $event);
like(operate("acknowledge('$first', 'seen')"), qr/^[0-9a-f-]{36}$/,
	'acknowledging gives the id of a request');
comes_to($alarm, 'active_acknowledged active_acknowledged critical',
	'acknowledged');
is(sql($node, $last), 'acknowledged active_acknowledged operator operator seen',
	'and the history tells by whom');
is(operate("acknowledge('$first')"), 'FM004', 'once is enough');
is(operate("acknowledge(gen_random_uuid())"), 'FM005',
	'and no other event will do');
$node->psql('factory', "SET ROLE reader; SELECT factorymon.acknowledge('$first')",
	stderr => \my $refused);
like($refused, qr/permission denied/, 'readers may not');

# shelved: what happens meanwhile is recorded, and not announced
is(operate("shelve('hot', '1 hour', 'being cleaned')"), 1,
	'shelving concerns one partition');
comes_to($alarm, 'shelved active_acknowledged critical', 'shelved');
operate("shelve('hot', '1 hour', 'again')");
comes_to($answers, qr/shelve: refused: the alarm is shelved already/,
	'twice is refused');
is(operate("shelve('hot', '9 hours', 'for long')"), '22023',
	'and so is more than a shift');
is(operate("shelve('nobody', '1 hour', 'x')"), '42704',
	'or a sensor that is not there');
limit(1000);
reading();
comes_to($alarm, 'shelved normal normal', 'returned while shelved');
is(sql($node, $last), 'returned normal data shelved', 'without a call');
operate("unshelve('hot')");
comes_to($alarm, 'normal normal normal', 'unshelved');

# shelving ends by the clock, where nothing comes
operate("shelve('hot', '2 seconds', 'for a moment')");
comes_to($alarm, 'shelved normal normal', 'shelved for a moment');
comes_to($last, 'unshelved normal clock', 'it ends by itself');

# out of service: raised, but announced only when it is back
operate("take_out_of_service('hot', 'broken')");
comes_to($alarm, 'out_of_service normal normal', 'out of service');
limit(-50);
reading();
comes_to($alarm, 'out_of_service active_unacknowledged critical',
	'raised out of service');
is(sql($node, $last),
	'raised active_unacknowledged data out_of_service', 'without a call');
is(sql($node, $event), '', 'so there is nothing to acknowledge');
operate("return_to_service('hot')");
comes_to($alarm, 'active_unacknowledged active_unacknowledged critical',
	'back in service');
is(sql($node, $last),
	'in_service active_unacknowledged operator operator announced',
	'with a call');

# an operator's open transaction holds up nobody
my $second = sql($node, $event);
my $operator = $node->background_psql('factory');
$operator->query_safe("BEGIN; SELECT factorymon.acknowledge('$second')");
is(run_producer(kafka => $broker, sensors => 20, count => 2000, rate => 4000,
		heartbeat => 0, seed => 5)->{rc}, 0, 'others go on');
comes_to('SELECT count(*) FROM factorymon.sensor_readings', 2003,
	'and are stored');
is(sql($node, $alarm), 'active_unacknowledged active_unacknowledged critical',
	'not acknowledged yet');
$operator->query_safe('COMMIT');
$operator->quit;
comes_to($alarm, 'active_acknowledged active_acknowledged critical',
	'acknowledged with the commit');

# also while the pipeline is paused
sql($node, "SELECT factorymon.pause('sensor-data')");
comes_to("SELECT bool_and(state = 'paused') FROM factorymon.partition_status()",
	't', 'paused');
operate("suppress('hot', 'by design')");
comes_to($alarm, 'suppressed active_acknowledged critical', 'suppressed');
operate("unsuppress('hot')");
comes_to($alarm, 'active_acknowledged active_acknowledged critical',
	'and not any more');
sql($node, "SELECT factorymon.resume('sensor-data')");
ok(running($node), 'resumed');

# what only statements honour is refused where transitions go, and nothing is
# lost by it
sql($node, <<'QUERY');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t AFTER INSERT ON _factorymon.transition_1 FOR EACH ROW
	EXECUTE FUNCTION nothing();
QUERY
limit(1000);
reading();
comes_to('SELECT DISTINCT last_error FROM factorymon.worker_status() '
		. "WHERE state = 'retrying'",
	qr/^table "transition_1(_p\w+)?" is not as the extension made it$/,
	'a trigger on transitions');
sql($node, 'DROP TRIGGER t ON _factorymon.transition_1');
comes_to($alarm, 'normal normal normal', 'without it all is stored');
limit(-50);
reading();
comes_to($alarm, 'active_unacknowledged active_unacknowledged critical',
	'raised again');
my $third = sql($node, $event);

# what is too long for a row lies beside it
my $novel = join '', map { chr(33 + ($_ * $_ * 7919 + $_ / 3) % 90) } 1 .. 20000;
$novel =~ s/['\\]/x/g;
operate("comment('$third', '$novel')");
comes_to('SELECT count(*) FROM factorymon.alerts '
		. "WHERE transition = 'commented' AND comment = '$novel'", 1,
	'a long comment');
operate("acknowledge('$third')");
comes_to($alarm, 'active_acknowledged active_acknowledged critical',
	'acknowledged');
is(sql($node, 'CREATE EXTENSION IF NOT EXISTS amcheck; '
		. 'SELECT count(bt_index_check(indexrelid, true)) > 5 FROM pg_index '
		. 'JOIN pg_class c ON c.oid = indexrelid '
		. "WHERE c.relkind = 'i' AND indrelid::regclass::text "
		. "~ '^_factorymon\\.(transition_1_|alarm\$|publication|sensor)'"), 't',
	'and every row is in every index');

# all of it survives
operate("comment('$third', 'a note')");
comes_to($last, qr/^commented .* a note$/, 'commented');
$node->stop('immediate');
$node->start;
ok(running($node), 'every partition runs again');
is(sql($node, $alarm), 'active_acknowledged active_acknowledged critical',
	'the alarm is what it was');
limit(1000);
reading();
comes_to($alarm, 'normal normal normal', 'and goes on');
is(sql($node, <<'QUERY'), 't', 'its history is without holes');
SELECT bool_and(seq = rank AND previous_state = coalesce(before, previous_state))
FROM (SELECT seq, previous_state, row_number() OVER w AS rank,
		lag(state) OVER w AS before
	FROM factorymon.alerts WHERE sensor_id = 'hot'
	WINDOW w AS (PARTITION BY alarm_id ORDER BY seq)) AS a
QUERY
is(sql($node, 'SELECT count(*) FROM factorymon.alarm_requests '
		. "WHERE outcome = 'pending'"), 0, 'every request has an answer');

$node->stop;
done_testing();
