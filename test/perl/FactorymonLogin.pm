# FactorymonLogin.pm: people with roles and passwords, who log in to the dashboard.
#
#	use FactorymonLogin;
#
#	setup_people($node);		# before the dashboard is started
#	my $otto = logs_in($dashboard, 'otto');
#	my $answer = act($dashboard, $otto, 'suppress', { sensor_id => 'oven', ... });
#	is_refused($answer, '403 not_allowed', 'he may not');
#	is_as_described($dashboard);	# all answers that came meanwhile
#
# anna is a reader, otto an operator, erik an engineer; "watcher" is for the
# dashboard, and the server asks it, and "loose", for no password.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonLogin;

use strict;
use warnings;

use Exporter 'import';
use FactorymonTest;
use POSIX ();
use Test::More;

our @EXPORT = qw(
  act
  announced
  backends_of
  comes_to
  described
  is_as_described
  is_refused
  logs_in
  meanwhile
  password_of
  quickly
  session_of
  setup_people
  state_of
);

# In JSON the password of the operator needs escapes.
my %password = (
	anna => 'reads-Xq7w2-and-reads-and-reads-and-reads-on',
	otto => "op\"er\\\x{e9}-Jk3v9-\x{1f600}",
	erik => 'engineers-Lm4p8-build-what-others-will-have-to-use');
my @described;    # answers to be held against the description

sub password_of { return $password{ $_[0] } }

sub setup_people
{
	my ($node) = @_;
	my $owner = sql($node, 'SELECT current_user');

	foreach my $name (sort keys %password)
	{
		my $bytes = $password{$name};

		utf8::encode($bytes);
		sql($node, "CREATE ROLE $name LOGIN PASSWORD \$p\$$bytes\$p\$");
	}
	sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
CREATE ROLE loose LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
SELECT factorymon.grant_access('reader', 'anna');
SELECT factorymon.grant_access('operator', 'otto');
SELECT factorymon.grant_access('operator', 'loose');
SELECT factorymon.grant_access('engineer', 'erik');
ALTER ROLE otto SET default_transaction_read_only = on;
ALTER ROLE otto SET statement_timeout = 0;
INSERT INTO factorymon.threshold (sensor_type, warning_high, critical_high)
VALUES ('temperature', 50, 100);
QUERY
	open(my $hba, '>', $node->data_dir . '/pg_hba.conf') or die $!;
	print $hba "local all $owner,watcher,loose trust\n",
	  "local all all scram-sha-256\n";
	close $hba;
	$node->reload;
	return;
}

# comes_to($node, $query, $expected, $name)
sub comes_to
{
	my ($node, $query, $expected, $name) = @_;

	return ok(poll_until($node, $query, $expected), "$name: $expected");
}

# The event with which a sensor's alarm has called last, and its shown state.
sub announced
{
	my ($node, $sensor) = @_;

	return sql($node, 'SELECT announced_event_id FROM factorymon.alarms '
		. "WHERE sensor_id = '$sensor' AND condition = 'limit'");
}

sub state_of
{
	return 'SELECT shown_state FROM factorymon.alarms '
	  . "WHERE sensor_id = '$_[0]' AND condition = 'limit'";
}

sub backends_of
{
	return 'SELECT count(*) FROM pg_stat_activity '
	  . "WHERE usename = '$_[0]' AND backend_type = 'client backend'";
}

# described($path, $method, $answer): to be looked at in the end; the answer.
sub described
{
	push @described, [@_];
	return $_[2];
}

sub is_as_described
{
	my ($dashboard) = @_;

	return is($dashboard->objections(@described), '',
		scalar(@described) . ' answers are as described');
}

# act($dashboard, $session, $action, $body [, %headers])
sub act
{
	my ($dashboard, $session, $action, $body, %headers) = @_;

	return described("/api/alarms/$action", 'POST',
		$dashboard->post("/api/alarms/$action", $body,
			headers => { %{ $session->{headers} }, %headers }));
}

# is_refused($answer, '403 csrf', $name)
sub is_refused
{
	my ($answer, $expected, $name) = @_;

	return is("$answer->{status} " . ($answer->{json}{code} // ''), $expected,
		$name);
}

sub session_of
{
	my ($dashboard, $session) = @_;

	return described('/api/session', 'GET', $dashboard->get('/api/session',
			headers => { cookie => $session->{headers}{cookie} }));
}

sub logs_in
{
	my ($dashboard, $name) = @_;
	my $session = $dashboard->log_in($name, $password{$name});

	is(described('/api/login', 'POST', $session->{answer})->{status}, 200,
		"$name logs in");
	return $session;
}

# meanwhile($code, $other)
#
# Run the one in a process of its own, and the other here; "status code" of the
# answer that the former gets.
sub meanwhile
{
	my ($code, $other) = @_;

	pipe(my $read, my $write) or die "pipe: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my $answer = $code->();

		syswrite $write, "$answer->{status} $answer->{json}{code}";
		POSIX::_exit(0);
	}
	close $write;
	$other->();
	local $/;
	my $answer = <$read>;
	waitpid $pid, 0;
	return $answer;
}

sub quickly
{
	my ($code, $name) = @_;
	my $began = FactorymonTest::now();

	is($code->()->{status}, 200, "$name is answered");
	return cmp_ok(FactorymonTest::now() - $began, '<', 2.5, 'at once');
}

1;
