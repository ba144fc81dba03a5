# delivery.t - what is sent arrives, and the truth file says where
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
my @mixed = qw(--count 8000 --rate 0 --sensors 40 --malformed 0.1
  --malformed-kinds truncated,syntax,utf8,nul,binary,empty,duplicate
  --tombstones 0.05 --extra 0.2 --seed 11);

# everything once
my $topic = topic($broker);
my $truth = scratch('truth');
my ($code, $out, $err) = run(producer($broker, $topic, @mixed, '--truth', $truth,
		'--heartbeat', 0.05, '--producer-id', 'line-4'));
is($code, 0, 'all delivered: exit code 0');
my $s = summary($err);
my $t = truth($truth);
my $log = readback($broker, $topic, '-p');
my ($wrong, $extra) = compare($t, $log);
is($wrong, 0, 'each line of the truth is in the topic, with its digest');
is(@$extra, 0, 'and nothing else is');
is($s->{sent}, 8000, 'the summary counts what was sent');
ok(accounted($s) && $s->{delivered} == 8000, 'and what was delivered');
my %kind;
$kind{ $_->{kind} }++ foreach @$t;
is("$kind{reading} $kind{malformed} $kind{tombstone}",
	"$s->{readings} $s->{malformed} $s->{tombstones}", 'kind by kind');
is(scalar(grep { $_->{raw} eq 'cbf29ce484222325' } values %$log) > 10, 1,
	'empty payloads are not tombstones');

# keys
my %home;
$home{ $log->{$_}{key} }{ (split / /)[0] } = 1 foreach keys %$log;
is(scalar(grep { keys %$_ > 1 } values %home), 0,
	'all records of a key are in one partition');
is(scalar(grep { /^(temperature|vibration|energy|humidity|pressure)-/ }
	  keys %home), 40, 'the key is the sensor id');

# heartbeats
my @beats = grep { $_->{header} eq 'heartbeat' } values %$log;
cmp_ok(@beats, '>=', 2, 'heartbeats at start and end at least');
is("@{[map { $_->{key} } @beats]}", "@{[('line-4') x @beats]}",
	'their key is the producer id');
like($_->{payload}, qr/^\{"producer_id":"line-4","host":"[^"]+","started_at":"[^"]{26}Z","at":"[^"]{26}Z","state":"(running|stopped)","sensors":40,"sent":\d+,"delivered":\d+,"errors":0,"connection":"(connecting|up)","interval":0.05,"version":"[\d.]+"\}$/,
	'a heartbeat has its members') foreach $beats[0];
my ($last) = grep { $_->{payload} =~ /"stopped"/ } @beats;
like($last->{payload} // '',
	qr/"sent":8000,"delivered":8000,.*"connection":"up"/,
	'the last one says stopped, and the final counts');
is(scalar(grep { $_->{header} ne 'heartbeat' && $_->{header} ne '-' }
	  values %$log), 0, 'other records have no such header');

# without keys
$topic = topic($broker);
$truth = scratch('truth');
($code) = run(producer($broker, $topic, @mixed, qw(--unkeyed --heartbeat 0
	--truth), $truth));
$log = readback($broker, $topic);
is($code, 0, '--unkeyed: exit code 0');
is(scalar(grep { defined $_->{key} } values %$log), 0, '--unkeyed: no keys');
($wrong, $extra) = compare(truth($truth), $log);
is("$wrong " . @$extra, '0 0', '--unkeyed: the truth holds');

# the same seed sends the same values
my @digests;
foreach (1, 2)
{
	my $again = topic($broker);
	my $file = scratch('truth');
	run(producer($broker, $again, @mixed, qw(--start 2025-09-16T00:00:00Z
		--heartbeat 0 --truth), $file));
	push @digests, join "\n", sort map { "$_->{kind} $_->{digest}" }
	  @{ truth($file) };
}
is($digests[0], $digests[1], 'the same seed delivers the same records');

# codecs, and large messages
foreach my $codec (qw(gzip snappy lz4 zstd))
{
	$topic = topic($broker);
	$truth = scratch('truth');
	($code) = run(producer($broker, $topic, qw(--count 500 --rate 0 --heartbeat 0),
			'--compression', $codec, '--truth', $truth));
	($wrong, $extra) = compare(truth($truth), readback($broker, $topic));
	is("$code $wrong " . @$extra, '0 0 0', "compression $codec");
}
$topic = topic($broker, 1);
$truth = scratch('truth');
($code) = run(producer($broker, $topic, qw(--count 4 --rate 0 --heartbeat 0 --big 1
	--truth), $truth));
($wrong, $extra) = compare(truth($truth), readback($broker, $topic));
is("$code $wrong " . @$extra, '0 0 0', 'messages of 900,000 bytes');

# too large for the client: certain failure, exit code 1
($code, $out, $err) = run(producer($broker, $topic, qw(--count 2 --rate 0 --big 1
	--big-bytes 2000000 --heartbeat 0)));
is("$code " . summary($err)->{failed}, '1 2',
	'messages that are too large have failed: exit code 1');

# several producers, one truth
$topic = topic($broker);
$truth = scratch('truth');
my @many = map { start(producer($broker, $topic, qw(--count 1500 --rate 0
	--heartbeat 0 --truth), $truth, '--sensor-id', "s$_")) } 1 .. 3;
is(join(' ', map { (finish($_))[0] } @many), '0 0 0',
	'three producers with one truth file');
($wrong, $extra) = compare(truth($truth), readback($broker, $topic));
is("$wrong " . @$extra, '0 0', 'which is complete, in whole lines');

# what a killed producer left does not spoil what the next one writes
$topic = topic($broker);
$truth = scratch('truth');
open my $fh, '>', $truth or die;
print $fh "0 17 reading 0123456789abcde";
close $fh;
($code) = run(producer($broker, $topic, qw(--count 10 --rate 0 --heartbeat 0
	--truth), $truth));
like(slurp($truth), qr/^0 17 reading 0123456789abcde\n(\d \d reading [0-9a-f]{16}\n){10}\z/,
	'a line that was cut short stays alone');

# pace
$topic = topic($broker);
my $from = time();
($code) = run(producer($broker, $topic, qw(--count 300 --rate 500 --heartbeat 0)));
my $took = time() - $from;
ok($code == 0 && $took > 0.55 && $took < 5, "300 at 500/s took $took s");
$topic = topic($broker);
($code) = run(producer($broker, $topic, qw(--count 5 --sampling-interval 0.1
	--heartbeat 0 --record-time event)));
$log = readback($broker, $topic, '-p');
my @at = sort map { $_->{time} } values %$log;
is(join(' ', map { $at[$_] - $at[ $_ - 1 ] } 1 .. 4), '100 100 100 100',
	'without a rate each sensor keeps its interval');
$from = time();
($code) = run(producer($broker, $topic, qw(--duration 0.3 --heartbeat 0)));
$took = time() - $from;
ok($code == 0 && $took > 0.25 && $took < 5, "--duration 0.3 took $took s");

# signals
foreach my $signal (qw(TERM INT))
{
	$topic = topic($broker);
	$truth = scratch('truth');
	my $run = start(producer($broker, $topic, qw(--rate 2000 --linger 60000
		--heartbeat 0.02 --producer-id me --print --truth), $truth));
	ok(wait_until(sub { slurp($run->{out}) =~ tr/\n// > 50 }), 'running');
	kill $signal, $run->{pid};
	($code, $out, $err) = finish($run, 10);
	$s = summary($err);
	$log = readback($broker, $topic, '-p');
	($wrong, $extra) = compare(truth($truth), $log);
	is($code, 0, "SIG$signal: exit code 0");
	ok($s->{sent} > 0 && $s->{delivered} == $s->{sent},
		"SIG$signal: what lingered was flushed ($s->{sent})");
	is("$wrong " . @$extra, '0 0', "SIG$signal: the truth is complete");
	is(scalar(grep { $_->{payload} =~ /"state":"stopped"/ } values %$log), 1,
		"SIG$signal: the last heartbeat says stopped");
}

# killed: fewer lines perhaps, but no false one
$topic = topic($broker);
$truth = scratch('truth');
my $run = start(producer($broker, $topic, qw(--rate 0 --sensors 20 --heartbeat 0
	--truth), $truth));
ok(wait_until(sub { -s $truth }), 'running');
kill 'KILL', $run->{pid};
($code) = finish($run);
is($code, -9, 'killed');
$log = readback($broker, $topic);
# the broker keeps 5 MiB: what it dropped cannot be compared
my %low;
foreach (keys %$log)
{
	my ($partition, $offset) = split / /;
	$low{$partition} = $offset
	  if $offset < ($low{$partition} // 9**15);
}
my $whole = slurp($truth) =~ s/[^\n]+\z//r;    # the last may be cut
open $fh, '>', $truth or die;
print $fh $whole;
close $fh;
my @kept = grep { my ($p, $o) = split / /, $_->{at}; $o >= $low{$p} }
  @{ truth($truth) };
($wrong) = compare(\@kept, $log);
is($wrong, 0, 'killed: no line without its record');

done_testing();
