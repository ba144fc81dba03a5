
# FactorymonTest.pm - what factorymon's TAP tests share
#
# A node with the extension, a Kafka (the embedded broker or a real cluster),
# producers, and waiting with deadlines: on top of PostgreSQL::Test::Cluster
# and IPC::Run.  A test begins
#
#	use strict;
#	use warnings;
#	use FindBin;
#	use lib "$FindBin::RealBin/../perl";
#	use FactorymonTest;
#	use Test::More;
#
#	my $broker = start_broker(topics => ['sensor-data:3']);
#	my $node = new_node();
#	create_pipeline($node, $broker);
#	run_producer(kafka => $broker, count => 1000, seed => 7);
#	ok(poll_until($node, 'SELECT count(*) FROM factorymon.sensor_readings',
#			1000), 'every reading is stored');
#	done_testing();
#
# Rules that the module keeps, so that tests need not think of them:
#
#  * Every wait has a deadline on the monotonic clock and says at its end what
#    it saw last.  Nothing sleeps for a fixed time.
#  * Whatever a test started is ended when the test ends, also by die() or a
#    signal: by process id, only our own children, never by name.  Programs
#    that could outlive a test killed with -9 notice its end by themselves.
#  * Without Java or a registry, a test that wants the real Kafka is skipped
#    and says why, unless FACTORYMON_REQUIRE_KAFKA=1.
#
# Environment: FACTORYMON_PRODUCER_DIR (where factorymon-producer and
# factorymon-broker are, if not in producer/), FACTORYMON_TIMEOUT (seconds
# that a wait may take, 60), PG_CONFIG.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonTest;

use strict;
use warnings;

my ($pg_config, $bindir, $pgxs_top);

# PostgreSQL's modules are where PGXS is; they want to be told where the
# programs are, which "make installcheck" would do.
BEGIN
{
	$pg_config = $ENV{PG_CONFIG} || 'pg_config';
	chomp($bindir = `$pg_config --bindir`);
	chomp(my $pgxs = `$pg_config --pgxs`);
	die "$pg_config does not work\n" if $bindir eq '' || $pgxs eq '';
	($pgxs_top = $pgxs) =~ s{/src/makefiles/pgxs\.mk$}{};
	unshift @INC, "$pgxs_top/src/test/perl";
	$ENV{PATH} = "$bindir:$ENV{PATH}";
	$ENV{PG_REGRESS} ||= "$pgxs_top/src/test/regress/pg_regress";
	if ($ENV{TESTDIR})
	{
		# Needed from PostgreSQL 16 on.
		$ENV{TESTDATADIR} ||= "$ENV{TESTDIR}/tmp_check";
		$ENV{TESTLOGDIR}  ||= "$ENV{TESTDIR}/tmp_check/log";
	}
}

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Handle;
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scalar::Util qw(blessed);
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT = qw(
  create_pipeline
  create_server
  debian_program
  lines_of
  new_node
  now
  poll_until
  poll_while
  repo_path
  require_program
  run_program
  run_producer
  sql
  start_broker
  start_kafka
  start_producer
  timeout_default
  wait_for_log
  wait_gone
  worker_pids
);

our $DBNAME = 'factory';

my $repo = abs_path(dirname(__FILE__) . '/../..');
my $main_pid = $$;
my @running;    # what has to be ended: things with ->end
my %count;      # names given so far

# IPC::Run and PostgreSQL's modules die() in a test that is interrupted only
# if the signal is an exception; without that no END block would run.
$SIG{TERM} = $SIG{INT} = $SIG{HUP} = sub {
	die "ended by signal $_[0]\n" if $$ == $main_pid;
	POSIX::_exit(1);
};

# Newest first, and before PostgreSQL::Test::Cluster's own END, which stops
# the nodes.  The exit code stays.
END
{
	my $exit_code = $?;

	if (defined $main_pid && $$ == $main_pid)
	{
		my @all = reverse @running;    # a copy: each takes itself out

		foreach my $thing (@all)
		{
			eval { $thing->end; 1 } or diag "at the end: $@";
		}
	}
	$? = $exit_code;
}

#
# Time
#

# now()
#
# Seconds on the monotonic clock.
#
# timeout_default()
#
# What a wait may take where the caller does not say: FACTORYMON_TIMEOUT or 60.
sub now
{
	return clock_gettime(CLOCK_MONOTONIC);
}

sub timeout_default
{
	return $ENV{FACTORYMON_TIMEOUT} || 60;
}

# poll_while($what, $code [, $timeout])
#
# Call $code until it returns true, at most $timeout seconds; returns that value.
# At the deadline: a diagnostic naming $what, and false.  $code is called at
# least once, and once more at the deadline.
sub poll_while
{
	my ($what, $code, $timeout) = @_;
	my $deadline = now() + ($timeout // timeout_default());
	my $pause = 0.01;

	while (1)
	{
		my $late = now() >= $deadline;
		my $result = $code->();

		return $result if $result;
		if ($late)
		{
			diag sprintf('timed out after %g s waiting for %s',
				$timeout // timeout_default(), $what);
			return 0;
		}
		# the pause between two looks at the condition, not instead of one
		Time::HiRes::sleep($pause);
		$pause = $pause * 1.5 > 0.1 ? 0.1 : $pause * 1.5;
	}
}

# wait_gone($pid [, $timeout])
#
# Wait until no process has this id (a zombie counts as gone); true if so.
sub wait_gone
{
	my ($pid, $timeout) = @_;

	return poll_while("the end of process $pid",
		sub { !_process_lives($pid) }, $timeout);
}

sub _process_lives
{
	my ($pid) = @_;

	open(my $stat, '<', "/proc/$pid/stat") or return 0;
	my $line = <$stat>;
	close $stat;
	# The state follows the name, which is in parentheses.
	return defined $line && $line =~ /.*\) (\S)/ && $1 ne 'Z' && $1 ne 'X';
}

#
# Programs
#

# repo_path($relative)
#
# Absolute path of a file of the repository.
#
# require_program($name)
#
# Path of a program of producer/; the test is bailed out without it.
sub repo_path
{
	return "$repo/$_[0]";
}

sub require_program
{
	my ($name) = @_;
	my $path =
	  ($ENV{FACTORYMON_PRODUCER_DIR} || repo_path('producer')) . "/$name";

	BAIL_OUT("$path is missing: build it first (make)") unless -x $path;
	return $path;
}

# debian_program($package, $program)
#
# Path of a program of a Debian package, which is fetched if need be; undef if
# it cannot be had, which a note explains.
sub debian_program
{
	my ($package, $program) = @_;
	my $result = run_program([ repo_path('test/debian-program'), $package,
			$program ]);

	chomp(my $path = $result->{stdout});
	return $path if $result->{rc} == 0;
	note $result->{stderr};
	return;
}

# run_program(\@command [, env => {}, timeout => $seconds, stdin => $text])
#
# Run to the end; returns { rc, stdout, stderr, seconds }.  rc is the exit code,
# 128 + signal, or 'timeout', after which the program was killed.
sub run_program
{
	my ($command, %opt) = @_;
	my $process = FactorymonTest::Process->start(
		$command,
		name => $opt{name} || 'command',
		env => $opt{env},
		stdin => $opt{stdin},
		grace => $opt{grace});

	return $process->wait($opt{timeout});
}

# lines_of($file)
#
# The lines of a file without their ends; none if there is no such file.
sub lines_of
{
	my ($file) = @_;

	open(my $in, '<:raw', $file) or return ();
	chomp(my @lines = <$in>);
	close $in;
	return @lines;
}

#
# Kafka
#

# start_broker(topics => ['name:partitions', ...], args => [...])
#
# The embedded broker (three mock brokers in one process).  Methods:
#
#   bootstrap            the bootstrap list
#   pid
#   command(@words)      one command ("help" lists them); the answer's lines,
#                        die on "error: ..."
#   try_command(@words)  the same as (true or false, answer or error)
#   stop                 end it (the END block does, too)
sub start_broker
{
	my (%opt) = @_;

	return _keep(FactorymonTest::Broker->start(%opt));
}

# start_kafka(brokers => 3, topics => ['name:partitions[:rf]', ...],
# default_topics => 1, set => {property => value}, ports => [...])
#
# Apache Kafka itself (test/kafka/kafka-cluster); the test is skipped as a whole
# where it cannot run, so call it before any test and without a plan.  Methods:
#
#   bootstrap, dir
#   admin(@words)        a command of Admin.java: the answer's lines, die on error;
#                        one JVM serves all of them, so each takes milliseconds
#   try_admin(@words)    (true or false, answer or error)
#   create_topic($name, $partitions, $rf [, \%config])   delete_topic($name)
#   recreate_topic($name, $partitions, $rf [, \%config])
#   add_partitions($topic, $total)    alter_topic_config($topic, \%config)
#   delete_records($topic, $partition, $offset)
#   produce($topic, $partition, @values)
#   transaction('commit' | 'abort', $topic, $partition, @values)
#   offsets($topic)          { partition => { low, high } }
#   leader($topic, $partition)   the broker's number, or undef
#   group_offsets($group)    { topic => { partition => { committed, end, lag } } }
#   set_group_offset($group, $topic, $partition, $offset)
#                            Kafka's copy of a position; no member may be there
#   group($group)            what Kafka's ConsumerGroupCommand prints (1-2 s)
#   kill_broker($n)  stop_broker($n)  restart_broker($n)
#   freeze_broker($n)  thaw_broker($n)  wait_in_sync
#   command(@words)          any other command of kafka-cluster, without DIR:
#                            { rc, stdout, stderr }
#   stop
sub start_kafka
{
	my (%opt) = @_;

	return _keep(FactorymonTest::Kafka->start(%opt));
}

#
# Producers
#

# run_producer(%options)
#
# Run factorymon-producer to its end; returns { rc, stdout, stderr, seconds }.
# Options (all optional):
#
#   kafka      start_broker() or start_kafka(), or a bootstrap list
#   topic      [sensor-data]
#   sensors, rate, count, duration, seed, truth, malformed, ...
#              every option of the program by its name, with _ for -
#   unkeyed => 1, print => 1, ...    options without a value
#   properties => {'linger.ms' => 5}  -X
#   args => [...]  env => {...}      passed as they are
#   timeout    seconds, after which it is killed and rc is 'timeout'
#
# start_producer(%options)
#
# The same in the background.  Methods: pid, running, stop (SIGTERM, then wait),
# kill($signal), wait([$timeout]): the last three but kill return the result.
sub run_producer
{
	my (%opt) = @_;
	my $timeout = delete $opt{timeout};

	return start_producer(%opt)->wait($timeout);
}

sub start_producer
{
	my (%opt) = @_;
	my @command = require_program('factorymon-producer');
	my %env = %{ delete $opt{env} || {} };
	my $kafka = delete $opt{kafka};
	my $topic = delete $opt{topic};
	my %properties = %{ delete $opt{properties} || {} };
	my @args = @{ delete $opt{args} || [] };

	$env{KAFKA_BROKERS} = _bootstrap($kafka) if defined $kafka;
	$env{SENSOR_TOPIC} = $topic if defined $topic;
	foreach my $name (sort keys %opt)
	{
		(my $option = "--$name") =~ s/_/-/g;

		next unless defined $opt{$name};
		push @command, $option;
		push @command, $opt{$name} unless $name =~
		  /^(unkeyed|print|dry_run|verbose)$/;
	}
	push @command, map { ('-X', "$_=$properties{$_}") } sort keys %properties;
	return FactorymonTest::Process->start([ @command, @args ],
		name => 'producer', env => \%env);
}

sub _bootstrap
{
	my ($kafka) = @_;

	return blessed($kafka) ? $kafka->bootstrap : $kafka;
}

#
# PostgreSQL
#

# new_node(%options)
#
# A PostgreSQL::Test::Cluster node, started, with shared_preload_libraries =
# 'factorymon' and a database "factory" with the extension.  Options:
#
#   name             [node, node2, ...]
#   conf             text for postgresql.conf, after ours
#   init => {...}    for PostgreSQL::Test::Cluster's init (allows_streaming)
#   dbname           [factory]; sql() and the others use it for this node
#   preload => 0     without shared_preload_libraries
#   extension => 0   without CREATE EXTENSION
#   start => 0       configured only: no database, no extension
sub new_node
{
	my (%opt) = @_;
	my $name = $opt{name} || _name('node');
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $opt{init} || {} });
	# restart_after_crash is off in PostgreSQL's own tests; ours kill workers.
	$node->append_conf('postgresql.conf', join "\n",
		($opt{preload} // 1)
		? "shared_preload_libraries = 'factorymon'"
		: "shared_preload_libraries = ''",
		"restart_after_crash = on",
		"max_worker_processes = 64",
		# producers of tests come and go: only what is about it misses them
		"factorymon.deadman = off",
		"max_connections = 50",
		"shared_buffers = 128MB",
		"max_wal_size = 1GB",
		"fsync = off",
		"jit = off",
		"log_statement = none",
		"log_checkpoints = off",
		"log_line_prefix = '%m [%p] %b %q%u\@%d '",
		"log_autovacuum_min_duration = -1",
		"autovacuum_naptime = 5s",
		"timezone = 'UTC'",
		$opt{conf} // '',
		'');
	$node->{factorymon_db} = $opt{dbname} || $DBNAME;
	return $node unless $opt{start} // 1;

	$node->start;
	$node->safe_psql('postgres', "CREATE DATABASE \"$node->{factorymon_db}\"");
	sql($node, 'CREATE EXTENSION factorymon') if $opt{extension} // 1;
	return $node;
}

# sql($node, $query)
#
# safe_psql() in the database of the node: the result as text, die on an error.
sub sql
{
	my ($node, $query) = @_;

	return $node->safe_psql(_db($node), $query);
}

# A node made by other means (a standby, a restored backup) has the usual name.
sub _db
{
	my ($node) = @_;

	return $node->{factorymon_db} || $DBNAME;
}

# create_server($node, $kafka [, name => 'plant', options => {...}])
#
# CREATE SERVER for start_broker(), start_kafka() or a bootstrap list.
#
# create_pipeline($node, $kafka [, topic => 'sensor-data',
# server => 'plant', options => {...}, %arguments])
#
# create_server(), unless the server exists ($kafka may be undef then), and
# factorymon.create_pipeline() with these named arguments, e. g. workers => 3;
# a reference to a string is SQL: start_at => \"now()".
sub create_server
{
	my ($node, $kafka, %opt) = @_;
	my $name = $opt{name} || 'plant';
	my %options =
	  ('bootstrap.servers' => _bootstrap($kafka), %{ $opt{options} || {} });
	my $list = join ', ',
	  map { "\"$_\" " . _string($options{$_}) } sort keys %options;

	sql($node,
		"CREATE SERVER \"$name\" FOREIGN DATA WRAPPER kafka OPTIONS ($list)");
	return;
}

sub create_pipeline
{
	my ($node, $kafka, %opt) = @_;
	my $topic = delete $opt{topic} // 'sensor-data';
	my $server = delete $opt{server} // 'plant';
	my $options = delete $opt{options};
	my $exists = sql($node, 'SELECT count(*) FROM pg_foreign_server '
		  . 'WHERE srvname = ' . _literal($server));

	create_server($node, $kafka, name => $server, options => $options)
	  unless $exists;
	my $arguments = join ', ', _literal($topic),
	  'server => ' . _literal($server),
	  map { "$_ => " . _literal($opt{$_}) } sort keys %opt;

	return sql($node, "SELECT factorymon.create_pipeline($arguments)");
}

sub _literal
{
	my ($value) = @_;

	return 'NULL' unless defined $value;
	return $$value if ref $value eq 'SCALAR';
	return $value if $value =~ /^-?\d+(\.\d+)?$/;
	return _string($value);
}

sub _string
{
	my ($value) = @_;

	$value =~ s/'/''/g;
	$value =~ s/\\/\\\\/g and return "E'$value'";
	return "'$value'";
}

# poll_until($node, $query, $expected [, $timeout])
#
# Run the query until its result is $expected: a string, a qr// or code that gets
# the result.  True if it came to that; else false, after a diagnostic with the
# last result.  A server that is down or restarting only means "not yet".
sub poll_until
{
	my ($node, $query, $expected, $timeout) = @_;
	my ($out, $err);
	my $reached = poll_while(
		"query: $query",
		sub {
			my $rc =
			  eval { $node->psql(_db($node), $query, stdout => \$out,
					stderr => \$err) };

			$err = $@ unless defined $rc;
			return 0 if !defined $rc || $rc != 0;
			return $expected->($out) if ref $expected eq 'CODE';
			return $out =~ $expected if ref $expected eq 'Regexp';
			return $out eq $expected;
		},
		$timeout);

	diag 'expected: ' . (ref $expected eq 'CODE' ? '(a condition)' : $expected)
	  . "\nlast result: " . ($out // '(none)')
	  . (defined $err && $err ne '' ? "\nlast error: $err" : '')
	  unless $reached;
	return $reached ? 1 : 0;
}

# wait_for_log($node, $pattern [, $offset [, $timeout]])
#
# Wait until the server's log matches, looking from $offset (-s $node->logfile at
# an earlier moment) on.  Returns the offset behind what was read, for the next
# call; 0 after a diagnostic with the end of the log.
sub wait_for_log
{
	my ($node, $pattern, $offset, $timeout) = @_;
	my $text = '';
	my $end = poll_while(
		"log: $pattern",
		sub {
			$text = _slurp_from($node->logfile, $offset || 0);
			return $text =~ $pattern ? ($offset || 0) + length $text : 0;
		},
		$timeout);

	diag "the end of the log:\n" . substr($text, -3000) unless $end;
	return $end;
}

sub _slurp_from
{
	my ($file, $offset) = @_;

	open(my $in, '<:raw', $file) or return '';
	seek $in, $offset, 0;
	local $/;
	my $text = <$in> // '';
	close $in;
	return $text;
}

# worker_pids($node [, $kind])
#
# Process ids, in order, of factorymon's processes in pg_stat_activity whose
# backend type matches $kind: "worker" (the ingest workers, the default),
# "supervisor", "launcher", or "." for all.
sub worker_pids
{
	my ($node, $kind) = @_;

	$kind = _literal($kind // 'worker');
	return split /\n/, sql($node, <<"QUERY");
SELECT pid FROM pg_stat_activity
WHERE backend_type ~ '^factorymon' AND backend_type ~ $kind
ORDER BY pid
QUERY
}

#
# Internals shared with the packages below
#

sub _keep
{
	my ($thing) = @_;

	push @running, $thing;
	return $thing;
}

sub _forget
{
	my ($thing) = @_;

	@running = grep { $_ != $thing } @running;
	return;
}

# A name that no other thing of this test has: node, node2, node3, ...
sub _name
{
	my ($stem) = @_;

	$count{$stem}++;
	return $stem . ($count{$stem} > 1 ? $count{$stem} : '');
}

# A folder for sockets and output, short enough for a socket's address.
my $scratch;

sub _scratch
{
	$scratch //= PostgreSQL::Test::Utils::tempdir_short();
	return $scratch;
}

#
# A child process with its output in files.
#
package FactorymonTest::Process;

use strict;
use warnings;
use POSIX ();
use Test::More;

# Options: name; env; stdin (text, or "pipe": $self->{stdin} is the handle to
# write to); grace, the seconds that end() leaves it between SIGTERM and SIGKILL
# (none, unless it has children of its own to end).  In a process group of its
# own, so that a Ctrl-C in the terminal reaches it by us, in order; the kernel
# sends it SIGTERM if we are gone without a word.
sub start
{
	my ($class, $command, %opt) = @_;
	my $name = FactorymonTest::_name($opt{name} || 'process');
	my $base = FactorymonTest::_scratch() . "/$name";
	my $stdin = $opt{stdin};
	my $self = bless {
		name => $name,
		command => $command,
		out => "$base.out",
		err => "$base.err",
		grace => $opt{grace} || 0,
		started => FactorymonTest::now()
	}, $class;
	my ($read, $write);

	pipe($read, $write) or die "pipe: $!\n" if defined $stdin;
	note 'starting: ' . join(' ', @$command);
	my $pid = fork() // die "fork: $!\n";
	if ($pid == 0)
	{
		$SIG{$_} = 'DEFAULT' foreach qw(TERM INT HUP PIPE);
		setpgrp(0, 0);
		$ENV{$_} = $opt{env}{$_} foreach keys %{ $opt{env} || {} };
		(defined $stdin ? open(STDIN, '<&', $read) : open(STDIN, '<', '/dev/null'))
		  && open(STDOUT, '>', $self->{out})
		  && open(STDERR, '>', $self->{err})
		  && exec 'setpriv', '--pdeathsig', 'TERM', '--', @$command;
		print STDERR "could not run $command->[0]: $!\n";
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	FactorymonTest::_keep($self);
	if (defined $stdin)
	{
		close $read;
		$write->autoflush(1);
		if ($stdin eq 'pipe')
		{
			$self->{stdin} = $write;
		}
		else
		{
			local $SIG{PIPE} = 'IGNORE';
			print $write $stdin;
			close $write;
		}
	}
	return $self;
}

sub pid { return $_[0]->{pid} }

# True while it runs; reaps it once it does not.
sub running
{
	my ($self) = @_;

	return 0 if defined $self->{rc};
	return 1 if waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
	$self->{rc} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	$self->{seconds} = FactorymonTest::now() - $self->{started};
	FactorymonTest::_forget($self);
	return 0;
}

sub stdout { return FactorymonTest::_slurp_from($_[0]->{out}, 0) }
sub stderr { return FactorymonTest::_slurp_from($_[0]->{err}, 0) }

# Send a signal, if it still runs: until it is reaped, the id is its own.
sub kill
{
	my ($self, $signal) = @_;

	return $self->running ? CORE::kill($signal, $self->{pid}) : 0;
}

# Wait for the end; after the timeout it is killed and rc is 'timeout'.
sub wait
{
	my ($self, $timeout) = @_;

	if (!FactorymonTest::poll_while(
			"the end of $self->{name}",
			sub { !$self->running }, $timeout))
	{
		diag "$self->{name} said last: " . substr($self->stderr, -1000);
		$self->end;
		$self->{rc} = 'timeout';
	}
	return {
		rc => $self->{rc},
		stdout => $self->stdout,
		stderr => $self->stderr,
		seconds => $self->{seconds}
	};
}

# SIGTERM and wait.
sub stop
{
	my ($self, $timeout) = @_;

	$self->kill('TERM');
	return $self->wait($timeout);
}

# The end without questions: for END blocks and after a deadline.
sub end
{
	my ($self) = @_;

	close delete $self->{stdin} if $self->{stdin};
	return unless $self->running;
	if ($self->{grace})
	{
		CORE::kill('TERM', $self->{pid});
		return
		  if FactorymonTest::poll_while("the end of $self->{name}",
			sub { !$self->running }, $self->{grace});
	}
	# A stopped process needs no SIGCONT to die of this.
	CORE::kill('KILL', $self->{pid});
	waitpid($self->{pid}, 0);
	$self->{rc} = 128 + 9;
	$self->{seconds} = FactorymonTest::now() - $self->{started};
	FactorymonTest::_forget($self);
	return;
}

#
# The embedded broker.
#
package FactorymonTest::Broker;

use strict;
use warnings;
use IO::Socket::UNIX;

sub start
{
	my ($class, %opt) = @_;
	my $control =
	  FactorymonTest::_scratch() . '/' . FactorymonTest::_name('control');
	my @topics = map { ('--topic', $_) } @{ $opt{topics} || [] };
	# It ends with its standard input, that is with us, whatever ends us.
	my $process = FactorymonTest::Process->start(
		[
			FactorymonTest::require_program('factorymon-broker'),
			'--control', $control, '--exit-with-stdin', @topics,
			@{ $opt{args} || [] }
		],
		name => 'broker', stdin => 'pipe');
	my $self = bless { process => $process, control => $control }, $class;

	FactorymonTest::poll_while(
		'the broker to start',
		sub {
			$self->{bootstrap} = $1
			  if $process->stdout =~ /^bootstrap\.servers=(\S+)\n/m;
			return $self->{bootstrap} || !$process->running;
		});
	die 'the broker did not start: ' . $process->stderr
	  unless $self->{bootstrap};
	return $self;
}

sub bootstrap { return $_[0]->{bootstrap} }
sub pid { return $_[0]->{process}->pid }

sub try_command
{
	my ($self, @words) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $self->{control})
	  or return (0, "no connection to the broker: $!");
	my @answer;

	print $socket "@words\n";
	while (my $line = <$socket>)
	{
		chomp $line;
		return (1, join "\n", @answer) if $line eq 'ok';
		return (0, $1) if $line =~ /^error: (.*)/;
		push @answer, $line;
	}
	return (0, 'the broker ended');
}

sub command
{
	my ($self, @words) = @_;
	my ($done, $answer) = $self->try_command(@words);

	die "broker: @words: $answer\n" unless $done;
	return wantarray ? split(/\n/, $answer) : $answer;
}

sub stop
{
	my ($self) = @_;

	FactorymonTest::_forget($self);
	return $self->{process}->stop(10);
}

sub end
{
	my ($self) = @_;

	FactorymonTest::_forget($self);
	$self->{process}->end;
	return;
}

#
# Apache Kafka.
#
package FactorymonTest::Kafka;

use strict;
use warnings;
use IPC::Open2;
use Test::More;

my $program = FactorymonTest::repo_path('test/kafka/kafka-cluster');

sub start
{
	my ($class, %opt) = @_;
	my %set = %{ $opt{set} || {} };
	my @args = ('--owner', $$);

	push @args, '--brokers', $opt{brokers} if $opt{brokers};
	push @args, '--ports', join(',', @{ $opt{ports} }) if $opt{ports};
	push @args, '--no-default-topics' unless $opt{default_topics} // 1;
	push @args, map { ('--topic', $_) } @{ $opt{topics} || [] };
	push @args, map { ('--set', "$_=$set{$_}") } sort keys %set;
	# The first start of all fetches the jars.
	my $result = FactorymonTest::run_program([ $program, 'start', @args ],
		name => 'kafka-cluster', timeout => 900, grace => 20);

	plan skip_all => $result->{stderr} =~ /^skipped: (.*)/m ? $1 : 'no Kafka'
	  if $result->{rc} eq '77';
	die "Kafka did not start:\n$result->{stderr}" if $result->{rc} ne '0';
	my ($dir) = $result->{stdout} =~ /^dir=(.*)/m;
	my ($bootstrap) = $result->{stdout} =~ /^bootstrap\.servers=(.*)/m;

	note sprintf 'Kafka started in %.1f s', $result->{seconds};
	return bless { dir => $dir, bootstrap => $bootstrap }, $class;
}

sub bootstrap { return $_[0]->{bootstrap} }
sub dir { return $_[0]->{dir} }

sub command
{
	my ($self, $command, @words) = @_;

	return FactorymonTest::run_program(
		[ $program, $command, $self->{dir}, @words ],
		name => 'kafka-cluster', timeout => 180, grace => 20);
}

sub _command_ok
{
	my ($self, @words) = @_;
	my $result = $self->command(@words);

	die "kafka-cluster @words:\n$result->{stderr}" if $result->{rc} ne '0';
	return $result->{stdout};
}

# The admin program stays open, as a child that ends with its standard input.
sub try_admin
{
	my ($self, @words) = @_;
	my @answer;

	if (!$self->{admin})
	{
		my $pid = open2(my $from, my $to, $program, 'admin', $self->{dir});

		$to->autoflush(1);
		$self->{admin} = { pid => $pid, from => $from, to => $to };
	}
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{admin}{to} } join("\t", @words, ''), "\n";
	while (my $line = readline $self->{admin}{from})
	{
		chomp $line;
		return (1, join "\n", @answer) if $line eq 'ok';
		return (0, $1) if $line =~ /^error: (.*)/;
		push @answer, $line;
	}
	$self->_close_admin;
	return (0, 'the admin program ended');
}

sub _close_admin
{
	my ($self) = @_;
	my $admin = delete $self->{admin} or return;

	close $admin->{to};
	close $admin->{from};
	local $?;
	waitpid $admin->{pid}, 0;
	return;
}

sub admin
{
	my ($self, @words) = @_;
	my ($done, $answer) = $self->try_admin(@words);

	die "Kafka: @words: $answer\n" unless $done;
	return wantarray ? split(/\n/, $answer) : $answer;
}

# Lines of "name=value name=value" as hashes.
sub _rows
{
	return map { { map { split /=/, $_, 2 } split / / } } @_;
}

sub _config
{
	my ($config) = @_;

	return map { "$_=$config->{$_}" } sort keys %{ $config || {} };
}

sub create_topic
{
	my ($self, $name, $partitions, $rf, $config) = @_;

	$self->admin('create-topic', $name, $partitions, $rf, _config($config));
	return;
}

sub recreate_topic
{
	my ($self, $name, $partitions, $rf, $config) = @_;

	$self->admin('recreate-topic', $name, $partitions, $rf, _config($config));
	return;
}

sub alter_topic_config
{
	my ($self, $name, $config) = @_;

	$self->admin('alter-topic-config', $name, _config($config));
	return;
}

sub delete_topic { my $self = shift; $self->admin('delete-topic', @_); return }

sub add_partitions
{
	my $self = shift;
	$self->admin('add-partitions', @_);
	return;
}

sub delete_records
{
	my $self = shift;
	$self->admin('delete-records', @_);
	return;
}

sub produce { my $self = shift; $self->admin('produce', @_); return }
sub transaction { my $self = shift; $self->admin('transaction', @_); return }
sub wait_in_sync { my $self = shift; $self->admin('wait-in-sync', @_); return }

sub offsets
{
	my ($self, $topic) = @_;

	return {
		map { $_->{partition} => { low => $_->{low}, high => $_->{high} } }
		  _rows($self->admin('offsets', $topic))
	};
}

sub leader
{
	my ($self, $topic, $partition) = @_;
	my ($row) = grep { $_->{partition} == $partition }
	  _rows($self->admin('describe-topic', $topic));

	return defined $row && $row->{leader} ne 'none' ? $row->{leader} : undef;
}

sub group_offsets
{
	my ($self, $group) = @_;
	my %result;

	foreach my $row (_rows($self->admin('group-offsets', $group)))
	{
		$result{ $row->{topic} }{ $row->{partition} } =
		  { map { $_ => $row->{$_} } qw(committed end lag) };
	}
	return \%result;
}

sub set_group_offset
{
	my $self = shift;
	$self->admin('set-group-offset', @_);
	return;
}

sub group { my ($self, $group) = @_; return $self->_command_ok('group', $group) }

sub kill_broker { my $self = shift; $self->_command_ok('kill', @_); return }

sub stop_broker
{
	my $self = shift;
	$self->_command_ok('stop-broker', @_);
	return;
}

sub restart_broker
{
	my $self = shift;
	$self->_command_ok('restart', @_);
	return;
}

sub freeze_broker { my $self = shift; $self->_command_ok('freeze', @_); return }
sub thaw_broker { my $self = shift; $self->_command_ok('thaw', @_); return }

sub stop
{
	my ($self) = @_;

	$self->_close_admin;
	FactorymonTest::_forget($self);
	$self->_command_ok('stop');
	return;
}

sub end
{
	my ($self) = @_;

	eval { $self->stop; 1 } or diag $@;
	return;
}

1;
