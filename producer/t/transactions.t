# transactions.t - the second client
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License
#
# The embedded broker shows aborted records to everybody, so they can be
# counted here: in the topic, and not in the truth.

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;

my $broker = broker();

sub go
{
	my ($topic, @args) = @_;
	my $truth = scratch('truth');
	my ($code, $out, $err) = run(producer($broker, $topic, qw(--rate 0 --sensors 20
		--heartbeat 0 --seed 4 --truth), $truth, @args));
	my $log = readback($broker, $topic, '-p');
	my $t = truth($truth);
	my ($wrong, $extra) = compare($t, $log);
	return { code => $code, err => $err, s => summary($err), t => $t,
		log => $log, wrong => $wrong, extra => scalar(@$extra) };
}

my $r = go(topic($broker), qw(--count 4000 --transaction-share 0.5
	--abort-share 0.3 --transaction-size 50));
is($r->{code}, 0, 'exit code 0: aborted on purpose is not undelivered');
ok(accounted($r->{s}), 'every record is accounted for');
is(scalar(@{ $r->{t} }), $r->{s}{delivered}, 'the truth has the committed');
is($r->{wrong}, 0, 'and they are where it says');
is($r->{extra}, $r->{s}{aborted}, 'what else is there was aborted');
my ($committed, $aborted) = split /\+/, $r->{s}{transactions};
cmp_ok(abs($committed + $aborted - 40), '<', 5, 'half in transactions of 50');
cmp_ok(abs($aborted - 12), '<', 9, 'a third of them aborted');

$r = go(topic($broker), qw(--count 300 --transaction-share 1 --abort-share 1));
is("$r->{code} $r->{s}{delivered} $r->{s}{aborted} " . @{ $r->{t} },
	'0 0 300 0', 'all aborted: nothing in the truth');
is($r->{extra}, 300, 'yet sent, so that the broker knows the transaction');

$r = go(topic($broker), qw(--count 130 --transaction-share 1));
is("$r->{code} $r->{s}{delivered} $r->{s}{transactions}", '0 130 2+0',
	'the last transaction need not be full');

# by sensor: nobody overtakes
$r = go(topic($broker), qw(--count 3000 --transaction-share 0.4
	--transaction-by sensor));
my (%count, $overtaken);
foreach (sort { my ($p, $o) = split / /, $a; my ($q, $u) = split / /, $b;
		$p <=> $q || $o <=> $u } keys %{ $r->{log} })
{
	my $m = $r->{log}{$_};
	my ($n) = $m->{payload} =~ /"reading_count":(\d+)/;
	$overtaken++ if $n <= ($count{ $m->{key} } // 0);
	$count{ $m->{key} } = $n;
}
is($overtaken, undef, '--transaction-by sensor keeps the order of a sensor');
cmp_ok((split /\+/, $r->{s}{transactions})[0], '>', 3,
	'and sends some in transactions');

# a signal
my $topic = topic($broker);
my $truth = scratch('truth');
my $run = start(producer($broker, $topic, qw(--rate 1000 --transaction-share 1
	--transaction-size 100000 --heartbeat 0 --print --truth), $truth));
ok(wait_until(sub { slurp($run->{out}) =~ tr/\n// > 100 }), 'running');
kill 'TERM', $run->{pid};
my ($code, $out, $err) = finish($run, 10);
my $s = summary($err);
ok($code == 0 && $s->{sent} > 0 && $s->{delivered} == $s->{sent},
	'SIGTERM commits what was collected');
is(scalar(@{ truth($truth) }), $s->{sent}, 'and the truth has it');

# errors: name, request, errors, exit code, what the summary must have
my @answers = (
	[ 'coordinator moved', 'EndTxn', 'NOT_COORDINATOR', 0, {} ],
	[ 'coordinator away', 'EndTxn', 'COORDINATOR_NOT_AVAILABLE*2', 0, {} ],
	[ 'connection cut at the end', 'EndTxn', '_TRANSPORT', 0, {} ],
	[ 'busy', 'AddPartitionsToTxn', 'CONCURRENT_TRANSACTIONS*2', 0, {} ],
	[ 'abortable', 'AddPartitionsToTxn', 'TOPIC_AUTHORIZATION_FAILED', 0,
		{ repeated => 1 } ],
	[ 'fatal before the commit', 'AddPartitionsToTxn', 'INVALID_TXN_STATE', 0,
		{ rebuilt => 1 } ],
	[ 'fatal at the commit', 'EndTxn', 'PRODUCER_FENCED', 1,
		{ rebuilt => 1, unknown => '100' } ],
	[ 'batch refused once', 'Produce', 'MSG_SIZE_TOO_LARGE', 0,
		{ repeated => '[1-9]' } ],
	[ 'not allowed', 'InitProducerId',
		'TRANSACTIONAL_ID_AUTHORIZATION_FAILED*12', 1,
		{ failed => '[1-9]', delivered => 0 } ],
);
foreach my $a (@answers)
{
	my ($name, $request, $errors, $expected, $has) = @$a;
	command($broker, 'request-errors', $request, $errors);
	$r = go(topic($broker), qw(--count 200 --transaction-share 1
		--duplicates 0.3));
	command($broker, 'clear-errors', $request);
	is($r->{code}, $expected, "$name: exit code $expected");
	ok(accounted($r->{s}), "$name: every record is accounted for");
	is(scalar(@{ $r->{t} }), $r->{s}{delivered}, "$name: a line for each");
	is($r->{wrong}, 0, "$name: none is wrong");
	like($r->{s}{$_}, qr/^$has->{$_}/, "$name: $_") foreach sort keys %$has;
}

# a record that cannot be sent fails alone
$r = go(topic($broker), qw(--count 150 --transaction-share 1 --big 0.05
	--big-bytes 2000000));
ok($r->{code} == 1 && $r->{s}{failed} > 0 && $r->{s}{failed} < 30
	  && $r->{s}{delivered} == 150 - $r->{s}{failed},
	'a record that is too large fails, the others of its transaction do not');
is($r->{wrong}, 0, 'and the truth holds');

# brokers away in the middle
$topic = topic($broker);
$truth = scratch('truth');
$run = start(producer($broker, $topic, qw(--count 3000 --rate 3000 --sensors 20
	--transaction-share 0.3 --abort-share 0.2 --heartbeat 0 --truth),
	$truth));
ok(wait_until(sub { -s $truth }), 'running');
command($broker, qw(broker down all));
ok(wait_until(sub { slurp($run->{err}) =~ /connections are down/ }),
	'all brokers down');
command($broker, qw(broker up all));
($code, $out, $err) = finish($run, 30);
my ($wrong) = compare(truth($truth), readback($broker, $topic));
$s = summary($err);
is("$code $wrong", '0 0', 'transactions survive an outage');
ok(accounted($s) && $s->{failed} == 0, 'and every record is accounted for');

done_testing();
