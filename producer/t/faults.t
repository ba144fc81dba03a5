# faults.t - brokers that fail, and what becomes of the records
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;
no warnings 'qw';    # lists for options have commas
use Time::HiRes qw(time);

my $broker = broker();

# The embedded broker appends a batch again when its answer was lost, so a
# record without a line must be a copy of one that has a line.
sub copies_only
{
	my ($truth, $log, $extra) = @_;
	my %known = map { $_->{digest} => 1 } @$truth;
	return !grep { !$known{ $log->{$_}{canon} } && !$known{ $log->{$_}{raw} } }
	  @$extra;
}

sub lines { return -e $_[0] ? slurp($_[0]) =~ tr/\n// : 0; }

# brokers go down while it runs
my $topic = topic($broker);
my $truth = scratch('truth');
my $run = start(producer($broker, $topic, qw(--count 12000 --rate 8000 --sensors 40
	--malformed 0.05 --malformed-kinds truncated,syntax --heartbeat 0
	--truth), $truth));
ok(wait_until(sub { lines($truth) > 500 }), 'running');
is(command($broker, qw(broker down all)), "ok\n", 'all brokers down');
ok(wait_until(sub { slurp($run->{err}) =~ /connections are down/ }),
	'the producer says so');
is(command($broker, qw(broker up 1)), "ok\n", 'one comes back');
is(command($broker, qw(broker up all)), "ok\n", 'all come back');
my $before = lines($truth);
ok(wait_until(sub { lines($truth) > $before }), 'it goes on');
is(command($broker, qw(broker down 2)), "ok\n", 'one goes down');
is(command($broker, qw(broker up 2)), "ok\n", 'and comes back');
my ($code, $out, $err) = finish($run, 30);
my $t = truth($truth);
my $log = readback($broker, $topic);
my ($wrong, $extra) = compare($t, $log);
is($code, 0, 'exit code 0');
like($err, qr/brokers answer again/, 'it says that they are back');
is(scalar(@$t), 12000, 'every record was confirmed, once');
is($wrong, 0, 'where the truth says');
ok(copies_only($t, $log, $extra), 'nothing else but copies of them');

# nobody there at first; the queue is full long before
my $late = broker('--topic', 'late:2');
command($late, qw(broker down all));
$truth = scratch('truth');
$run = start(producer($late, 'late', qw(--count 3000 --rate 0 --heartbeat 1
	-X queue.buffering.max.messages=100 --truth), $truth));
ok(wait_until(sub { slurp($run->{err}) =~ /connections are down/ }),
	'no broker at the start');
command($late, qw(broker up all));
($code, $out, $err) = finish($run, 30);
my $s = summary($err);
is($code, 0, 'waits for the broker: exit code 0');
is("$s->{sent} $s->{delivered}", '3000 3000', 'nothing is dropped');

# stopped while nobody is there: bounded
command($late, qw(broker down all));
foreach my $how ('timeout', 'second signal')
{
	my $seconds = $how eq 'timeout' ? 0.5 : 600;
	$run = start(producer($late, 'late', qw(--rate 1000 --heartbeat 0.1
		--print --flush-timeout), $seconds));
	ok(wait_until(sub { slurp($run->{out}) =~ tr/\n// > 20 }), 'running');
	my $from = time();
	kill 'TERM', $run->{pid};
	if ($how ne 'timeout')
	{
		wait_until(sub { 0 }, 0.3);    # it must still be waiting then
		is(kill(0, $run->{pid}), 1, 'waits for the broker');
		kill 'TERM', $run->{pid};
	}
	($code, $out, $err) = finish($run, 20);
	$s = summary($err);
	is($code, 1, "$how: exit code 1");
	ok(accounted($s) && $s->{delivered} == 0 && $s->{failed} > 0,
		"$how: the summary tells");
	cmp_ok(time() - $from, '<', 10, "$how: in time");
}

# what the broker may answer, and what must become of it
#   name, request, errors, exit code, what the summary must have
my @answers = (
	[ 'leader moved', 'Produce', 'NOT_LEADER_FOR_PARTITION*3', 0, {} ],
	[ 'connection cut', 'Produce', '_TRANSPORT*3', 0, {} ],
	[ 'too few replicas', 'Produce', 'NOT_ENOUGH_REPLICAS*2', 0, {} ],
	[ 'refused', 'Produce', 'MSG_SIZE_TOO_LARGE', 1, { failed => '[1-9]' } ],
	[ 'sequence lost', 'Produce', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 1,
		{ unknown => '[1-9]', rebuilt => 1 } ],
	[ 'appended before', 'Produce', 'DUPLICATE_SEQUENCE_NUMBER', 1,
		{ unlocated => '[1-9]', failed => 0, unknown => 0 } ],
	[ 'no producer id', 'InitProducerId', 'COORDINATOR_NOT_AVAILABLE*2', 0,
		{} ],
	[ 'fatal before anything', 'InitProducerId',
		'CLUSTER_AUTHORIZATION_FAILED', 0, { rebuilt => 1 } ],
);
foreach my $a (@answers)
{
	my ($name, $request, $errors, $expected, $has) = @$a;
	$topic = topic($broker);
	$truth = scratch('truth');
	command($broker, 'request-errors', $request, $errors);
	($code, $out, $err) = run(producer($broker, $topic, qw(--count 600 --rate 4000
		--sensors 20 --duplicates 0.3 --heartbeat 0 --truth), $truth));
	command($broker, 'clear-errors', $request);
	$s = summary($err);
	$t = truth($truth);
	$log = readback($broker, $topic);
	($wrong, $extra) = compare($t, $log);
	is($code, $expected, "$name: exit code $expected");
	ok(accounted($s), "$name: every record is accounted for");
	is(scalar(@$t), $s->{delivered} - $s->{unlocated},
		"$name: a line for each that was confirmed");
	is($wrong, 0, "$name: none is wrong");
	like($s->{$_}, qr/^$has->{$_}/, "$name: $_") foreach sort keys %$has;
	cmp_ok(scalar(keys %$log), '<=', $s->{delivered} + $s->{unknown},
		"$name: nothing doubled") if $expected == 1;
}

done_testing();
