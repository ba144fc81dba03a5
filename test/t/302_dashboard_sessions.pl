# Sessions of the dashboard: what one of them waits for holds up nobody else,
# they end as they should, there are not too many of them, and passwords go
# nowhere where others could read them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonDashboard;
use FactorymonCheck;
use FactorymonLogin;
use FactorymonTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:3']);
my $node = new_node();
my $program = ($ENV{FACTORYMON_DASHBOARD_DIR}
	  || FactorymonTest::repo_path('dashboard')) . '/factorymon-dashboard';
my %oven = (sensor_id => 'oven');

create_pipeline($node, $broker, workers => 2, options => quick_options(),
	alert_topic => '');
setup_people($node);
ok(running($node), 'every partition runs');
is(run_producer(kafka => $broker, count => 1, heartbeat => 0, seed => 7,
		sensor_id => 'oven', sensor_type => 'temperature',
		anomalies => 'none', base_value => 120)->{rc}, 0, 'an alarm');
comes_to($node, state_of('oven'), 'active_unacknowledged', 'oven');
my $dashboard = start_dashboard($node, role => 'watcher');
my $anna;
my $otto = logs_in($dashboard, 'otto');
my $erik = logs_in($dashboard, 'erik');

# --- waiting ------------------------------------------------------------------
my $locker = $node->background_psql('factory', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE _factorymon.request;'
	  . ' LOCK TABLE _factorymon.alarm');
is(meanwhile(
		sub { act($dashboard, $otto, 'suppress', { %oven, reason => 'x' }) },
		sub {
			quickly(sub { session_of($dashboard, $erik) }, 'another session')
		}), '503 database_busy', 'what waits for a lock gives up');
# Many different things that take long: what has no parameters gets through.
my @crowd = map {
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
		PeerPort => $dashboard->port) or die "connect: $!";

	print $socket "GET /api/alarms?pipeline=p$_ HTTP/1.1\r\n"
	  . "Host: localhost\r\n\r\n";
	$socket->flush;
	$socket;
} 1 .. 80;
is_refused($dashboard->get('/api/alarms?pipeline=last'), '503 busy',
	'there is an end to what may wait');
quickly(sub { $dashboard->get('/api/consumer-health') },
	'what has no parameters');
my ($slow) = map { readline $_ } $crowd[0];
like($slow, qr{^HTTP/1\.1 503 }, 'what takes too long is given up, for now');
close $_ foreach @crowd;
$locker->query_safe('ROLLBACK');
$locker->quit;
like($dashboard->process->stderr, qr{/api/alarms: 57014: .*\(id \w+\)},
	'as the log says');

my $stopped = sql($node,
	"SELECT pid FROM pg_stat_activity WHERE usename = 'otto'");
kill 'STOP', $stopped;
is(meanwhile(
		sub { act($dashboard, $otto, 'suppress', { %oven, reason => 'x' }) },
		sub {
			quickly(sub { session_of($dashboard, $erik) }, 'who does not hang')
			  foreach 1 .. 3;
		}), '503 database_silent', 'a server that says nothing');
kill 'CONT', $stopped;
is_refused(session_of($dashboard, $otto), '200 session_lost',
	'is not asked again');
comes_to($node, state_of('oven'), 'suppressed',
	'what was sent may be done all the same');
comes_to($node, backends_of('otto'), 0, 'connections of otto');

# --- ends ---------------------------------------------------------------------
$otto = logs_in($dashboard, 'otto');
my $out = $dashboard->post('/api/logout', '', headers => $otto->{headers});
described('/api/logout', 'POST', $out);
is($out->{status}, 204, 'otto logs out');
like($out->{headers}{'set-cookie'}, qr/^factorymon=; .*Max-Age=0/,
	'the cookie goes');
is_refused(session_of($dashboard, $otto), '200 logged_out', 'he is out');
is_refused(act($dashboard, $otto, 'suppress', { %oven, reason => 'x' }),
	'401 logged_out', 'and does nothing any more');
comes_to($node, backends_of('otto'), 0, 'connections of otto');
my $again = $dashboard->post('/api/login',
	{ user => 'anna', password => password_of('anna') },
	headers => { cookie => $erik->{headers}{cookie} });
is($again->{status}, 200, 'somebody else at the same browser');
ok(FactorymonTest::poll_while('the end of a session', sub {
		(session_of($dashboard, $erik)->{json}{code} // '') eq 'logged_out' }),
	'takes the place of who was there');

foreach ([ '--session-idle', 'session_idle' ], [ '--session-most', 'session_over' ])
{
	my ($option, $code) = @$_;
	my $brief = start_dashboard($node, role => 'watcher', args => [ $option, 3 ]);
	my $session = logs_in($brief, 'otto');
	my $began = FactorymonTest::now();
	my $answer;

	ok(FactorymonTest::poll_while('the end of a session', sub {
			$answer = session_of($brief, $session);
			# what is done counts as use, what is asked does not
			act($brief, $session, 'comment', { event_id => announced($node, 'oven'),
					comment => 'still here' })
			  if defined $answer->{json}{role}
			  && FactorymonTest::now() < $began + ($option =~ /idle/ ? 3.5 : 60);
			!defined $answer->{json}{role} }), "$option: it ends");
	is_refused($answer, "200 $code", 'for that reason');
	is_refused(act($brief, $session, 'comment', { comment => 'too late',
				event_id => announced($node, 'oven') }), "401 $code",
		'and nothing is done any more');
	cmp_ok(FactorymonTest::now() - $began, $option =~ /idle/ ? '>=' : '<',
		$option =~ /idle/ ? 5.5 : 5.5, 'in time');
	comes_to($node, backends_of('otto'), 0, 'connections of otto');
	is($brief->stop->{rc}, 0, 'it ends');
}

$anna = logs_in($dashboard, 'anna');
$node->restart;
is_refused(session_of($dashboard, $anna), '200 session_lost',
	'a session does not outlive its connection');
ok(running($node), 'every partition runs');
$anna = logs_in($dashboard, 'anna');
is(session_of($dashboard, $anna)->{json}{role}, 'anna', 'another one does');
$node->stop('fast');
is_refused($dashboard->log_in('anna', password_of('anna'))->{answer},
	'503 database_down', 'without a database nobody logs in');
$node->start;

# --- how many, how often ------------------------------------------------------
my $many = start_dashboard($node, role => 'watcher');
my @sessions = map { $many->log_in('otto', password_of('otto')) } 1 .. 20;
is(scalar(grep { $_->{answer}{status} == 200 } @sessions), 20,
	'who logs in rightly may do so often');
is_refused($many->log_in('otto', password_of('otto'))->{answer},
	'503 sessions_full', 'but there is an end');
is($many->post('/api/logout', '', headers => $sessions[7]{headers})->{status},
	204, 'one leaves');
comes_to($node, backends_of('otto'), 19, 'connections of otto');
logs_in($many, 'anna');
is($many->stop->{rc}, 0, 'it ends with all of them');
comes_to($node, backends_of('otto'), 0, 'connections of otto');

my $proxied = start_dashboard($node, role => 'watcher', args =>
	  [ '--trusted-proxy', '10.0.0.0/8, 127.0.0.1', '--verbose',
		'--allowed-hosts', 'a.example, b.example' ]);
sub try_as
{
	my ($password, @from) = @_;

	return $proxied->post('/api/login',
		{ user => 'anna', password => $password },
		headers => { 'x-forwarded-for' => \@from });
}
is_refused(try_as("wrong$_", "192.0.2.$_", '198.51.100.1, 10.1.2.3'),
	'401 wrong_credentials', "attempt $_") foreach 1 .. 5;
my $limited = try_as('wrong', '198.51.100.1');
described('/api/login', 'POST', $limited);
is_refused($limited, '429 too_many_logins', 'the sixth attempt of a minute');
cmp_ok($limited->{headers}{'retry-after'}, '<=', 60, 'is told when to come');
cmp_ok($limited->{headers}{'retry-after'}, '>', 30, 'which is not soon');
is_refused(try_as(password_of('anna'), '198.51.100.1'), '429 too_many_logins',
	'also with the right password');
is(try_as(password_of('anna'), '198.51.100.2')->{status}, 200,
	'another client may');
is(try_as(password_of('anna'), '2001:db8::1')->{status}, 200, 'also by IPv6');
is($proxied->raw("GET /healthz HTTP/1.1\r\nHost: $_\r\n"), 200, "Host: $_")
  foreach qw(a.example b.example);
is($proxied->get('/healthz%0afactorymon-dashboard:%20fake')->{status}, 404,
	'a path with a line feed');
like($proxied->process->stderr, qr/^\S+ GET \/healthz\\x0afactorymon/m,
	'stays in its line of the log');
is($proxied->stop->{rc}, 0, 'it ends');

# --- where it may be asked for ------------------------------------------------
my $open = run_program([ $program, '--host', '0.0.0.0', '--port', 0 ],
	timeout => 60);
is($open->{rc}, 1, 'no passwords over a network in the clear');
like($open->{stderr}, qr/--tls-certificate.*--behind-tls-proxy.*--no-login/s,
	'it says what would do');
my $without = start_dashboard($node, role => 'watcher',
	args => [ '--host', '0.0.0.0', '--no-login' ]);
my $off = $without->log_in('otto', password_of('otto'))->{answer};
described('/api/login', 'POST', $off);
is_refused($off, '404 login_off', 'without login there is none');
is_refused(session_of($without, { headers => { cookie => '' } }),
	'200 login_off', 'as who asks for the session is told');
is($without->get('/api/alarms')->{status}, 200, 'and the rest is there');
SKIP:
{
	my ($address) = grep { /^\d/ } split ' ', `hostname -I`;

	skip 'this machine has no address but its own', 3 unless $address;
	my @found = map {
		IO::Socket::INET->new(PeerAddr => $address, PeerPort => $without->port)
	} 1 .. 101;
	my @streams = @found[ 0 .. 10 ];
	my %answers;

	foreach my $socket (@streams)
	{
		print $socket "GET /api/stream HTTP/1.1\r\nHost: $address\r\n\r\n";
		$socket->flush;
		$answers{ (split ' ', readline $socket)[1] }++;
	}
	is_deeply(\%answers, { 200 => 10, 429 => 1 }, 'ten streams of an address');
	my ($last) = $found[100];
	print $last "GET /healthz HTTP/1.1\r\nHost: $address\r\n\r\n";
	$last->flush;
	is(readline $last, undef, 'and a hundred connections');
	is($without->get('/healthz')->{status}, 200, 'while others have theirs');
}
is($without->stop->{rc}, 0, 'it ends');
my $behind = start_dashboard($node, role => 'watcher',
	args => [ '--host', '0.0.0.0', '--behind-tls-proxy' ]);
my $secure = $behind->post('/api/login',
	{ user => 'otto', password => password_of('otto') },
	headers => { origin => 'https://127.0.0.1:' . $behind->port });
is($secure->{status}, 200, 'behind a proxy that speaks https');
like($secure->{headers}{'set-cookie'}, qr/^__Host-factorymon=.*; Secure$/,
	'cookies are for https');
is($behind->stop->{rc}, 0, 'it ends');

# TLS
my $dir = FactorymonTest::_scratch();
my ($key, $certificate) = ("$dir/key.pem", "$dir/certificate.pem");
is(run_program([ qw(openssl req -x509 -newkey ec -pkeyopt
			ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost
			-addext subjectAltName=DNS:localhost -keyout), $key, '-out',
			$certificate ])->{rc}, 0, 'a certificate');
my @tls = ('--tls-certificate', $certificate, '--tls-key', $key);
chmod 0644, $key;
my $loose = run_program([ $program, '--port', 0, @tls ], timeout => 60);
is($loose->{rc}, 1, 'a key that everybody may read is none');
like($loose->{stderr}, qr/key\.pem.*0600/, 'it says so');
chmod 0600, $key;
is(run_program([ $program, '--port', 0, '--tls-key', $key ])->{rc}, 2,
	'a key needs a certificate');
my $missing = run_program([ $program, '--port', 0, '--tls-certificate',
		"$dir/none.pem", '--tls-key', $key ], timeout => 60);
like("$missing->{rc} $missing->{stderr}", qr/^1 .*none\.pem.*No such file/s,
	'which must be there');
is(run_program([ $program, '--port', 0, '--tls-certificate', $key,
			'--tls-key', $key ], timeout => 60)->{rc}, 1, 'and be one');

my $tls = start_dashboard($node, role => 'watcher',
	args => [ '--host', '0.0.0.0', @tls ]);
my $url = 'https://localhost:' . $tls->port;
sub curl
{
	my ($path, @args) = @_;
	my $ran = run_program([ 'curl', '-sS', '-i', '--cacert', $certificate,
			'--max-time', 30, @args, "$url$path" ]);

	return $ran->{stdout} . $ran->{stderr};
}
sub curl_post
{
	my ($path, $json, @headers) = @_;

	return curl($path, map({ ('-H', $_) } 'Content-Type: application/json',
			"Origin: $url", @headers), '--data', $json);
}
like(curl('/healthz'), qr{^HTTP/1\.1 200 .*Strict-Transport-Security: max-age=\d}s,
	'https, from now on only');
my $in = curl_post('/api/login',
	'{"user":"erik","password":"' . password_of('erik') . '"}');
like($in, qr{^HTTP/1\.1 200 }, 'erik logs in');
my ($cookie) = $in =~ /^Set-Cookie: (__Host-factorymon=\w+); Path=\/; HttpOnly; SameSite=Strict; Secure\r$/m;
my ($csrf) = $in =~ /"csrf_token":"(\w+)"/;
ok($cookie, 'with a cookie for https');
like(curl_post('/api/alarms/unsuppress', '{"sensor_id":"oven"}',
		"Cookie: $cookie", "X-CSRF-Token: $csrf"),
	qr{^HTTP/1\.1 202 .*"role":"erik"}s, 'and does something');
ok(running($node), 'every partition runs');
comes_to($node, state_of('oven'), 'active_unacknowledged', 'oven');
like(curl('/healthz', '--tls-max', '1.1'), qr/curl: \(35\)/, 'no old TLS');
is($tls->stop->{rc}, 0, 'it ends');

# --- a server that does not even say hello ------------------------------------
my $mute = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1')
  or die "listen: $!";
my $deaf = start_dashboard($node, env => {
		DATABASE_URL => 'host=127.0.0.1 port=' . $mute->sockport });
my $stream = $deaf->stream;
my $last = FactorymonTest::now();
my $longest = 0;
$stream->next_event('tick');    # it may have to wait to be let in
foreach (1 .. 4)
{
	$last = FactorymonTest::now();
	$stream->next_event('tick');
	my $gap = FactorymonTest::now() - $last;
	$longest = $gap if $gap > $longest;
}
cmp_ok($longest, '<', 3.5, 'ticks come all the same');
is(meanwhile(sub { $deaf->log_in('otto', 'x')->{answer} },
		sub { quickly(sub { $deaf->get('/healthz') }, 'it is alive') }),
	'503 database_down', 'and who would log in is told');
$stream->close;
is($deaf->stop->{rc}, 0, 'it ends');

# --- passwords ----------------------------------------------------------------
# How often the memory of a process has a text that may be written.
sub memory_has
{
	my ($pid, $text) = @_;
	my $found = 0;

	no warnings 'portable';
	open(my $maps, '<', "/proc/$pid/maps") or return;
	open(my $memory, '<:raw', "/proc/$pid/mem") or return;
	while (<$maps>)
	{
		my ($from, $to) = /^(\w+)-(\w+) rw/ or next;
		my ($at, $len) = (hex $from, hex($to) - hex($from));
		my $bytes = '';

		next if $len > 256 * 1024 * 1024;
		sysseek($memory, $at, 0) or next;
		sysread($memory, $bytes, $len);
		$found++ while $bytes =~ /\Q$text\E/g;
	}
	return $found;
}
my $quiet = start_dashboard($node, role => 'watcher', args => ['--verbose']);
my $builder = logs_in($quiet, 'erik');
my $secret = password_of('erik');
my $wrong = 'Vw5t1-wrong-and-long-enough-to-be-found-again';
is_refused($quiet->log_in('anna', $wrong)->{answer}, '401 wrong_credentials',
	'and somebody else does not');
SKIP:
{
	my $pid = $quiet->process->pid;

	skip 'memory of a process cannot be looked at here', 4
	  unless memory_has($pid, '/factorymon-dashboard');
	skip 'sanitizers keep what was freed', 4
	  if $ENV{FACTORYMON_DASHBOARD_DIR};
	# libpq has it in its state of SCRAM until the connection ends
	cmp_ok(memory_has($pid, $secret), '<=', 1, 'a password is not kept by us');
	is(memory_has($pid, $wrong), 0, 'nor is a wrong one by anybody');
	is($quiet->post('/api/logout', '', headers => $builder->{headers})->{status},
		204, 'erik logs out');
	ok(FactorymonTest::poll_while('the end of a password',
			sub { memory_has($pid, $secret) == 0 }, 10), 'and with him it is gone');
}
unlike(join('', map { $_->process->stderr } $quiet, $dashboard),
	qr/Jk3v9|Lm4p8|Xq7w2|Vw5t1/, 'nor in a log');
unlike(FactorymonTest::_slurp_from($node->logfile, 0), qr/Jk3v9.*SELECT|Vw5t1/,
	'nor in that of the server');
is($quiet->stop->{rc}, 0, 'it ends');

is_as_described($dashboard);
is($dashboard->stop->{rc}, 0, 'it ends');
$node->stop;
done_testing();
