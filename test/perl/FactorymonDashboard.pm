# FactorymonDashboard.pm: the dashboard in tests: start it, ask it, listen to it.
#
#	use FactorymonDashboard;
#
#	my $dashboard = start_dashboard($node, role => 'watcher');
#	my $answer = $dashboard->get('/api/system-status');
#	$answer->{status}, $answer->{headers}{etag}, $answer->{json}
#	my $stream = $dashboard->stream;
#	my $event = $stream->next_event('alarm');	# { id, event, data }
#	$dashboard->stop;
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonDashboard;

use strict;
use warnings;

use Exporter 'import';
use FactorymonTest;
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use Test::More;

our @EXPORT = qw(start_dashboard);

# start_dashboard($node [, role => $name, database => 'factory', args => [...],
# env => {...}])
#
# On a free port, connected to the node over its socket; returns when it
# listens.
sub start_dashboard
{
	my ($node, %opt) = @_;
	my $program =
	  ($ENV{FACTORYMON_DASHBOARD_DIR} || FactorymonTest::repo_path('dashboard'))
	  . '/factorymon-dashboard';
	my $file = FactorymonTest::_scratch() . '/' . FactorymonTest::_name('port');
	my $database = join ' ', 'host=' . $node->host, 'port=' . $node->port,
	  'dbname=' . ($opt{database} || 'factory'),
	  $opt{role} ? "user=$opt{role}" : ();

	BAIL_OUT("$program is missing: build it first (make dashboard)")
	  unless -x $program;
	my $process = FactorymonTest::Process->start(
		[ $program, '--port', 0, '--port-file', $file, @{ $opt{args} || [] } ],
		name => 'dashboard',
		env => { DATABASE_URL => $database, %{ $opt{env} || {} } });
	my $self = bless { process => $process }, __PACKAGE__;

	FactorymonTest::poll_while(
		'the port of the dashboard',
		sub { ($self->{port}) = FactorymonTest::lines_of($file); $self->{port} })
	  or die 'the dashboard did not start: ' . $process->stderr;
	$self->{http} = HTTP::Tiny->new(timeout => 30, keep_alive => 0);
	return $self;
}

sub port { return $_[0]->{port} }
sub process { return $_[0]->{process} }
sub stop { my ($self) = @_; return $self->{process}->stop }

# get($path [, method => 'GET', headers => {...}, content => $text])
sub get
{
	my ($self, $path, %opt) = @_;
	my $answer = $self->{http}->request($opt{method} || 'GET',
		"http://127.0.0.1:$self->{port}$path",
		{ headers => $opt{headers} || {},
			defined $opt{content} ? (content => $opt{content}) : () });

	$answer->{json} = JSON::PP::decode_json($answer->{content})
	  if ($answer->{headers}{'content-type'} || '') =~ /json/
	  && !$answer->{headers}{'content-encoding'}
	  && length $answer->{content};
	return $answer;
}

# objections(@paths)
#
# What the dashboard's own description has to say against its answers, by path
# and status; nothing is best.  A path is asked for now, or is one of
# [path, method, answer] that came before.
sub objections
{
	my ($self, @paths) = @_;
	my %description = %{ $self->get('/api/openapi.json') };
	my @answers = map {
		my ($path, $method, $answer) = ref $_ ? @$_ : ($_, 'GET', $self->get($_));

		[ $path, lc $method, "$answer->{status}", $answer->{json} ]
	} @paths;
	my ($out, $err);

	IPC::Run::run([ 'python3', '-c', <<'PROGRAM' ],
import json, jsonschema, sys
description, answers = json.load(sys.stdin)
for path, method, status, answer in answers:
	found = description["paths"][path.partition("?")[0]][method]["responses"]
	if status not in found:
		print(path, status, "is not described")
		continue
	response = found[status]
	if "$ref" in response:
		name = response["$ref"].rpartition("/")[2]
		response = description["components"]["responses"][name]
	content = response.get("content", {})
	if not content and answer is None:
		continue
	(schema,) = (c["schema"] for c in content.values())
	jsonschema.Draft202012Validator.check_schema(schema)
	validator = jsonschema.Draft202012Validator(
		{**schema, "components": description["components"]},
		format_checker=jsonschema.FormatChecker())
	for error in validator.iter_errors(answer):
		print(path, status, error.json_path, error.message)
PROGRAM
		'<', \JSON::PP::encode_json([ $description{json}, \@answers ]),
		'>', \$out, '2>', \$err, IPC::Run::timeout(120)) or die "python3: $err";
	return $out;
}

# post($path, $body [, headers => {...}])
#
# As a page of the dashboard does; $body is a reference, or text as it is.
sub post
{
	my ($self, $path, $body, %opt) = @_;

	return $self->get($path,
		method => 'POST',
		content => ref $body ? JSON::PP::encode_json($body) : $body,
		headers => {
			'content-type' => 'application/json',
			origin => "http://127.0.0.1:$self->{port}",
			%{ $opt{headers} || {} } });
}

# log_in($user, $password)
#
# A session: { answer, user, headers }, the latter for what it does.
sub log_in
{
	my ($self, $user, $password) = @_;
	my $answer = $self->post('/api/login',
		{ user => $user, password => $password });
	my ($cookie) = ($answer->{headers}{'set-cookie'} // '') =~ /^([^;]+)/;

	return {
		answer => $answer,
		user => $user,
		headers => {
			cookie => $cookie // '',
			'x-csrf-token' => $answer->{json}{csrf_token} // '' } };
}

# raw(@lines): the status of the answer to what is no proper request, maybe.
sub raw
{
	my ($self, @lines) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $self->{port}) or die "connect: $!\n";

	print $socket join("\r\n", @lines), "Connection: close\r\n\r\n";
	$socket->flush;
	local $/;
	my ($status) = (<$socket> // '') =~ m{^HTTP/1\.1 (\d+) };
	return $status;
}

# stream([$last_id])
sub stream
{
	my ($self, $last_id) = @_;

	return FactorymonDashboard::Stream->open($self->{port}, $last_id);
}

#
# A client of the stream of events.
#
package FactorymonDashboard::Stream;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;

sub open
{
	my ($class, $port, $last_id) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $port) or die "connect: $!\n";
	my $self = bless { socket => $socket, text => '', body => '' }, $class;

	print $socket "GET /api/stream HTTP/1.1\r\nHost: localhost\r\n"
	  . "Accept: text/event-stream\r\n"
	  . (defined $last_id ? "Last-Event-ID: $last_id\r\n" : '') . "\r\n";
	$socket->flush;
	$self->_read until $self->{text} =~ s/^(.*?\r\n)\r\n//s;
	$self->{head} = $1;
	$self->_unchunk;
	return $self;
}

sub head { return $_[0]->{head} }

sub _read
{
	my ($self) = @_;
	my $deadline = FactorymonTest::timeout_default();

	IO::Select->new($self->{socket})->can_read($deadline)
	  or die "nothing came for $deadline seconds\n";
	sysread($self->{socket}, $self->{text}, 65536, length $self->{text})
	  or die "the stream has ended\n";
	return;
}

# Out of chunks, the content.
sub _unchunk
{
	my ($self) = @_;

	while ($self->{text} =~ /^([0-9a-fA-F]+)\r\n/)
	{
		my ($len, $at) = (hex $1, $+[0]);

		die "the stream has ended\n" if $len == 0;
		last if length $self->{text} < $at + $len + 2;
		$self->{body} .= substr $self->{text}, $at, $len;
		$self->{text} = substr $self->{text}, $at + $len + 2;
	}
	return;
}

# next_event([$kind]): the next one of this kind, or of any; dies if none comes.
sub next_event
{
	my ($self, $kind) = @_;

	for (;;)
	{
		while ($self->{body} =~ s/^(.*?)\n\n//s)
		{
			my %event = map { /^(\w+): ?(.*)$/ ? ($1 => $2) : () } split /\n/, $1;

			next unless $event{event};
			$event{json} = JSON::PP::decode_json($event{data});
			return \%event if !defined $kind || $event{event} eq $kind;
		}
		$self->_read;
		$self->_unchunk;
	}
}

sub close { my ($self) = @_; CORE::close($self->{socket}); return }

1;
