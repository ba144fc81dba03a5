# FmTest.pm - what the tests of the producer share
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License
#
# Core modules only.  A broker started here ends with the test that started
# it, however that ends: it watches its standard input.

package FmTest;

use strict;
use warnings;
use Exporter 'import';
use File::Temp qw(tempdir);
use IO::Handle;
use IPC::Open3;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(run start finish broker command topic readback compare
  summary accounted truth slurp wait_until producer scratch);

our $dir = tempdir(CLEANUP => 1);
my $topics = 0;
my $files = 0;

# Nothing of the caller's environment may reach the programs.
delete $ENV{$_} foreach grep { /^(KAFKA_|SENSOR_|FACTORY_SECTION|MACHINE_ID|ZONE|SAMPLING|BASE_VALUE|WARNING_|CRITICAL_)/ } keys %ENV;

sub scratch { return "$dir/" . ($_[0] // 'f') . ++$files; }

sub slurp
{
	my ($file) = @_;
	open my $fh, '<', $file or die "$file: $!";
	local $/;
	my $text = <$fh>;
	return $text // '';
}

# Start a program in the background; its output goes to files.
sub start
{
	my (@cmd) = @_;
	my %p = (out => scratch('out'), err => scratch('err'), cmd => "@cmd");
	open my $out, '>', $p{out} or die;    # there before anybody looks
	open my $err, '>', $p{err} or die;
	$p{pid} = fork() // die "fork: $!";
	if ($p{pid} == 0)
	{
		open STDIN, '<', '/dev/null' or die;
		open STDOUT, '>&', $out or die;
		open STDERR, '>&', $err or die;
		exec @cmd or die "$cmd[0]: $!";
	}
	return \%p;
}

# Wait for it: exit code (or -signal), standard output, standard error.
sub finish
{
	my ($p, $timeout) = @_;
	my $until = time() + ($timeout // 30);
	while (waitpid($p->{pid}, WNOHANG) == 0)
	{
		if (time() > $until)
		{
			kill 'KILL', $p->{pid};
			waitpid($p->{pid}, 0);
			return ('timeout', slurp($p->{out}), slurp($p->{err}));
		}
		sleep 0.01;
	}
	my $code = $? & 127 ? -($? & 127) : $? >> 8;
	return ($code, slurp($p->{out}), slurp($p->{err}));
}

sub run { return finish(start(@_)); }

# Poll a condition; false if it did not come true in time.
sub wait_until
{
	my ($condition, $timeout) = @_;
	my $until = time() + ($timeout // 10);
	until ($condition->())
	{
		return 0 if time() > $until;
		sleep 0.02;
	}
	return 1;
}

# Start a broker; returns { servers, control, pid }.
sub broker
{
	my (@args) = @_;
	my $control = scratch('control');
	my $err = scratch('err');
	open my $errfh, '>', $err or die;
	my $pid = open3(my $in, my $out, '>&' . fileno($errfh),
		'./factorymon-broker', '--exit-with-stdin', '--control', $control,
		@args);
	my $line = <$out> // '';
	$line =~ /^bootstrap\.servers=(\S+)$/ or die "broker: " . slurp($err);
	return { servers => $1, control => $control, pid => $pid, in => $in,
		out => $out };
}

sub command
{
	my ($broker, @words) = @_;
	my ($code, $out) = run('./factorymon-broker', '--send',
		$broker->{control}, @words);
	return $code == 0 ? $out : "failed: $out";
}

# A topic that nobody used before.
sub topic
{
	my ($broker, $partitions) = @_;
	my $name = 'topic-' . ++$topics;
	my $answer = command($broker, 'create', $name, $partitions // 3);
	die $answer unless $answer eq "ok\n";
	return $name;
}

sub producer
{
	my ($broker, $topic, @args) = @_;
	return ('./factorymon-producer', '-b', $broker->{servers}, '-t', $topic,
		@args);
}

# The topic: { "partition offset" => { header, key, raw, canon } }, and with
# '-p' as third argument time and payload.
sub readback
{
	my ($broker, $topic, @args) = @_;
	my ($code, $out, $err) = run('t/readback', $broker->{servers}, $topic,
		@args);
	die "readback: $err" if $code ne '0';
	my %log;
	foreach (split /\n/, $out)
	{
		my ($partition, $offset, $header, $key, $raw, $canon, $time, $payload)
		  = split / /;
		$log{"$partition $offset"} = { header => $header, raw => $raw,
			key => $key eq '-' ? undef : pack('H*', $key), canon => $canon,
			time => $time, payload => pack('H*', $payload // '') };
	}
	return \%log;
}

# The truth file: [ { at, kind, digest, of, id } ], the last two if they are there
sub truth
{
	my ($file) = @_;
	my $n = qr/(?:0|[1-9]\d*)/;
	my $rest = qr/(?:of=($n\/$n|-) )?(?:id=([0-9a-f-]{36}) )?([0-9a-f]{16}|-)/;
	my @lines;
	foreach (split /\n/, slurp($file))
	{
		/^($n $n) (reading|duplicate|malformed|tombstone|heartbeat) $rest$/
		  or die "bad line in truth: $_";
		my %line = (at => $1, kind => $2, of => $3, id => $4, digest => $5);
		$line{of} =~ tr{/}{ } if defined $line{of};
		die "bad line in truth: $_"
		  if ($line{kind} eq 'duplicate') != defined $line{of};
		push @lines, \%line;
	}
	return \@lines;
}

# Compare them: (lines that are wrong or double, records without a line).
sub compare
{
	my ($truth, $log) = @_;
	my $wrong = 0;
	my %seen;
	foreach my $t (@$truth)
	{
		my $r = $log->{ $t->{at} };
		my $found = !$r ? 'nothing'
		  : $t->{kind} =~ /^(reading|duplicate)$/ ? $r->{canon} : $r->{raw};
		my $beat = $r && $r->{header} eq 'heartbeat';
		$wrong++ if $seen{ $t->{at} }++ || $found ne $t->{digest}
		  || ($t->{kind} eq 'heartbeat') != !!$beat;
	}
	return ($wrong, [ grep { !$seen{$_} } keys %$log ]);
}

# The summary as a hash.
sub summary
{
	my ($err) = @_;
	my ($line) = $err =~ /^factorymon-producer: summary (.*)$/m
	  or die "no summary: $err";
	return { $line =~ /(\w+)=(\S+)/g };
}

# Does every record have exactly one fate?
sub accounted
{
	my ($s) = @_;
	return $s->{sent} == $s->{delivered} + $s->{failed} + $s->{unknown}
	  + $s->{aborted};
}

1;
