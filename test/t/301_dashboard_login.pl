# People who log in to the dashboard: what they do is done by their own role of
# the database, and what they must not do is refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonCheck;
use FactorymonLogin;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $start = time - 6000;

# A reading of the sensor, minutes after the start.
sub reading
{
	my ($sensor, $at, $value) = @_;

	is(run_producer(kafka => $broker, count => 1, heartbeat => 0, seed => 7,
			sensor_id => $sensor, sensor_type => 'temperature',
			anomalies => 'none', base_value => $value,
			start => '@' . ($start + 60 * $at))->{rc},
		0, "$sensor: a reading of about $value");
	return;
}

create_pipeline($node, $broker, workers => 2, options => quick_options(),
	alert_topic => '');
setup_people($node);
ok(running($node), 'every partition runs');
reading($_, 1, 120) foreach qw(press oven);
reading('pump', 1, 60);
comes_to($node, state_of($_), 'active_unacknowledged', $_)
  foreach qw(press oven pump);
my $dashboard = start_dashboard($node, role => 'watcher');

# --- logging in ---------------------------------------------------------------
foreach (
	[ 'otto', 'wrong', 'a wrong password' ],
	[ 'nobody', 'wrong', 'nobody of that name' ],
	[ 'loose', 'wrong', 'somebody whom the server asks for no password' ])
{
	my ($user, $password, $name) = @$_;
	my $answer = $dashboard->log_in($user, $password)->{answer};

	described('/api/login', 'POST', $answer);
	is_refused($answer, '401 wrong_credentials', $name);
	is($answer->{headers}{'set-cookie'}, undef, 'there is no session');
}
like($dashboard->process->stderr,
	qr/login of "loose" from 127\.0\.0\.1: the server has not asked for the/,
	'the log knows why');
my $nobody = $dashboard->get('/api/session');
described('/api/session', 'GET', $nobody);
is($nobody->{status}, 200, 'who asks who is logged in gets an answer');
is_deeply($nobody->{json}, { role => undef, actions => [],
		code => 'no_session' }, 'which is that nobody is');
is($nobody->{headers}{'cache-control'}, 'no-store', 'now');
is($dashboard->get('/api/session', method => 'HEAD')->{status}, 200,
	'and so for HEAD');
is(sql($node, backends_of('loose')), 0, 'and nobody is connected');

my $anna = logs_in($dashboard, 'anna');
my $otto = logs_in($dashboard, 'otto');
my $erik = logs_in($dashboard, 'erik');
my @actions = qw(acknowledge comment shelve unshelve suppress unsuppress
  out-of-service return-to-service);

like($otto->{answer}{headers}{'set-cookie'},
	qr{^factorymon=[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Strict$},
	'the cookie is not for pages, nor for other sites');
is($otto->{answer}{headers}{'cache-control'}, 'no-store', 'nobody keeps it');
is($otto->{answer}{headers}{'strict-transport-security'}, undef,
	'without TLS none is demanded');
is($otto->{answer}{json}{role}, 'otto', 'it says who it is');
is_deeply($otto->{answer}{json}{actions}, \@actions, 'and what they may do');
is_deeply($erik->{answer}{json}{actions}, \@actions, 'engineers may, too');
is_deeply($anna->{answer}{json}{actions}, [], 'readers may not');
is_deeply(session_of($dashboard, $otto)->{json}, $otto->{answer}{json},
	'the session says the same');
isnt($otto->{headers}{cookie}, $erik->{headers}{cookie}, 'tokens differ');
sql($node, 'REVOKE EXECUTE ON FUNCTION factorymon.comment FROM erik');
is_deeply(session_of($dashboard, $erik)->{json}{actions},
	[ grep { $_ ne 'comment' } @actions ], 'rights are those of now');

# --- what may be done, and from where -----------------------------------------
my $body = { event_id => announced($node, 'oven') };

is_refused(act($dashboard, $anna, 'acknowledge', $body), '403 not_allowed',
	'readers acknowledge nothing');
is_refused(act($dashboard, { headers => {} }, 'acknowledge', $body),
	'401 no_session', 'nor does nobody');
is_refused(act($dashboard, $otto, 'acknowledge', $body, @{ $_->[0] }),
	$_->[1], $_->[2])
  foreach (
	[ [ 'x-csrf-token', '' ], '403 csrf', 'without the second token' ],
	[ [ 'x-csrf-token', $erik->{headers}{'x-csrf-token'} ], '403 csrf',
		'with that of another session' ],
	[ [ 'origin', 'http://evil.example' ], '403 foreign_page',
		'from another page' ],
	[ [ 'origin', '' ], '403 foreign_page', 'from who knows where' ],
	[ [ 'origin', "https://127.0.0.1:" . $dashboard->port ],
		'403 foreign_page', 'from https' ],
	[ [ 'sec-fetch-site', 'same-site' ], '403 foreign_page',
		'from a neighbour' ],
	[ [ 'content-type', 'text/plain' ], '415 not_json',
		'as a form could send it' ]);
is_refused($dashboard->post('/api/login', { user => 'otto', password => 'x' },
		headers => { origin => 'http://evil.example' }), '403 foreign_page',
	'nor logs anybody in');
is_refused($dashboard->post('/api/logout', '', headers =>
		  { %{ $otto->{headers} }, 'x-csrf-token' => 'x' }), '403 csrf',
	'nor out');
foreach (
	[ '', 'bad_body' ], [ '{', 'bad_body' ], [ '[]', 'bad_body' ],
	[ '{}', 'bad_body', '"event_id" is missing' ],
	[ '{"event_id":null}', 'bad_body' ],
	[ '{"event_id":5}', 'bad_body' ],
	[ '{"event_id":"' . announced($node, 'oven') . '",}', 'bad_body' ],
	[ '{"event_id":"' . announced($node, 'oven') . '"} x', 'bad_body' ],
	[ '{"event_id":"' . announced($node, 'oven') . '","event_id":"x"}', 'bad_body',
		'"event_id" is there twice' ],
	[ '{"event_id":"' . announced($node, 'oven') . '","colour":"red"}', 'bad_body',
		'there is a member that is not known' ],
	[ '{"event_id":"' . announced($node, 'oven') . '","comment":"\u0000"}', 'bad_body' ],
	[ '{"event_id":"' . announced($node, 'oven') . '","comment":"\ud800"}', 'bad_body' ],
	[ '{"event_id":"' . announced($node, 'oven') . "\",\"comment\":\"\xff\"}", 'bad_body' ],
	[ '{"event_id":"' . announced($node, 'oven') . "\",\"comment\":\"\n\"}", 'bad_body' ],
	[ '{"event_id":"' . 'x' x 36 . '"}', 'invalid_parameter' ])
{
	my ($text, $code, $detail) = @$_;
	my $answer = act($dashboard, $otto, 'acknowledge', $text);

	is_refused($answer, "400 $code", substr $text, 0, 70);
	is($answer->{json}{detail}, $detail, 'with the reason') if $detail;
}
is_refused(act($dashboard, $otto, 'acknowledge',
		{ %$body, comment => 'x' x 20000 }), '413 too_large', 'too much');
is($dashboard->raw('POST /api/logout HTTP/1.1', 'Host: evil.example',
		'Content-Length: 0', ''), 403, 'under another name');
is($dashboard->raw('POST /api/login HTTP/1.1', 'Host: localhost',
		'Content-Length: 99999999', ''), 413, 'much too much');
is($dashboard->raw('POST /api/login HTTP/1.1', 'Host: localhost',
		'Transfer-Encoding: chunked', ''), 411, 'without an end');
is($dashboard->get('/api/alarms/shelve')->{headers}{allow}, 'POST',
	'asking does nothing');
is($dashboard->post('/api/session', '')->{headers}{allow}, 'GET, HEAD',
	'and doing asks nothing');
is(sql($node, 'SELECT count(*) FROM factorymon.alarm_requests'), 0,
	'of all that nothing came to the database');

# --- actions ------------------------------------------------------------------
# Done by otto, and to be seen in the history with his name.
sub does
{
	my ($action, $in_history, $body, $state) = @_;
	my $answer = act($dashboard, $otto, $action, $body);
	my $sensor = $body->{sensor_id} // 'press';

	is($answer->{status}, 202, "$action: asked for") or diag $answer->{content};
	is("$answer->{json}{action} $answer->{json}{role}", "$action otto",
		'by otto');
	comes_to($node, <<"QUERY", "otto done", 'and done');
SELECT concat_ws(' ', actor, outcome) FROM factorymon.alarm_requests
WHERE action = '$in_history->[0]' AND sensor_id = '$sensor'
ORDER BY requested_at DESC LIMIT 1
QUERY
	is(sql($node, <<"QUERY"), 'otto', 'as the history says');
SELECT "by" FROM factorymon.alerts
WHERE sensor_id = '$sensor' AND transition = '$in_history->[1]'
ORDER BY recorded_at DESC LIMIT 1
QUERY
	comes_to($node, state_of($sensor), $state, $sensor);
	return $answer;
}

my $comment = "it's \"hot\" \\ \x{1f525}; DROP TABLE x --";
my $acknowledged = does('acknowledge', [qw(acknowledge acknowledged)],
	{ event_id => announced($node, 'press'), comment => $comment },
	'active_acknowledged');
is(sql($node, 'SELECT comment FROM factorymon.alarm_requests WHERE request_id '
		. "= '$acknowledged->{json}{request_id}'"),
	do { my $bytes = $comment; utf8::encode($bytes); $bytes },
	'a comment is what it is');
does('comment', [qw(comment commented)],
	{ event_id => announced($node, 'press'), comment => 'again' },
	'active_acknowledged');
my %oven = (sensor_id => 'oven');
does('shelve', [qw(shelve shelved)],
	{ %oven, duration => '1 hour', reason => 'cleaning', one_shot => \1 },
	'shelved');
is(sql($node, 'SELECT one_shot, until - requested_at BETWEEN '
		. "'59 min' AND '61 min' FROM factorymon.alarm_requests "
		. "WHERE action = 'shelve'"), 't|t', 'as it was asked for');
does('unshelve', [qw(unshelve unshelved)], {%oven}, 'active_unacknowledged');
does('suppress', [qw(suppress suppressed)], { %oven, reason => 'design' },
	'suppressed');
does('unsuppress', [qw(unsuppress unsuppressed)],
	{ %oven, pipeline => 'sensor-data', condition => undef, comment => undef },
	'active_unacknowledged');
does('out-of-service', [qw(take_out_of_service out_of_service)],
	{ %oven, reason => 'broken' }, 'out_of_service');
does('return-to-service', [qw(return_to_service in_service)], {%oven},
	'active_unacknowledged');
is(act($dashboard, $erik, 'acknowledge', { event_id => announced($node, 'oven') })
	  ->{status}, 202, 'engineers do it as well');
comes_to($node, state_of('oven'), 'active_acknowledged', 'oven');

# What cannot be done
my $seen = announced($node, 'pump');
reading('pump', 2, 120);
ok(poll_until($node, 'SELECT announced_event_id FROM factorymon.alarms '
			. "WHERE sensor_id = 'pump' AND condition = 'limit'",
		sub { $_[0] ne $seen }), 'an alarm calls again');
my $stale = act($dashboard, $otto, 'acknowledge', { event_id => $seen });
is_refused($stale, '409 stale_event', 'what was not seen is not acknowledged');
unlike($stale->{content}, qr/last announced with/, 'the database is not quoted');
like($dashboard->process->stderr,
	qr/no alarm was last announced with this event.*\(id $stale->{json}{id}\)/,
	'but in the log');
is_refused(act($dashboard, $otto, 'acknowledge',
		{ event_id => announced($node, 'press') }), '409 wrong_state',
	'nor what has been acknowledged');
is_refused(act($dashboard, $otto, 'suppress',
		{ sensor_id => "x'; --", reason => 'x' }), '404 unknown_object',
	'there is no such sensor');
is_refused(act($dashboard, $otto, 'shelve',
		{ %oven, duration => $_, reason => 'x' }), '400 invalid_parameter',
	"nobody shelves for $_")
  foreach '8 hours 1 second', '0', '-1 hour', 'ever';
comes_to($node, state_of('pump'), 'active_unacknowledged', 'pump');

is_as_described($dashboard);
is($dashboard->stop->{rc}, 0, 'it ends');
$node->stop;
done_testing();
