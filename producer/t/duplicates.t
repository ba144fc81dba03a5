# duplicates.t - readings that are sent twice, and what the truth says of them
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;

my $p = './factorymon-producer';
my @dry = ($p, qw(--dry-run --start 2025-09-16T00:00:00Z --seed 12
  --sensors 20 --format reading));
my $broker = broker();

# Where each message of a dry run stands: (payload => [ numbers ], kinds).
sub places
{
	my (@args) = @_;
	my ($code, $out, $err) = run(@dry, @args);
	my (%at, @kinds, @wrong);

	is("$code$err", '0', join ' ', 'runs', @args);
	foreach (split /\n/, $out)
	{
		my ($kind, $key, $payload) = split /\t/;
		push @kinds, $kind;
		next unless $kind =~ /^(reading|duplicate)$/;
		push @{ $at{"$key\t$payload"} }, $#kinds;
		push @wrong, $payload
		  if ($kind eq 'duplicate') != (@{ $at{"$key\t$payload"} } == 2);
	}
	is(scalar(@wrong), 0, '... and a duplicate is the second of two');
	return (\%at, \@kinds, $out);
}

sub distances
{
	my ($at) = @_;
	return sort { $a <=> $b } map { $_->[1] - $_->[0] }
	  grep { @$_ == 2 } values %$at;
}

# share and window
my ($at, $kinds, $out) = places(qw(--count 20000 --duplicates 0.1));
my $copies = grep { $_ eq 'duplicate' } @$kinds;
is(scalar(@$kinds), 20000, '--count counts duplicates, too');
cmp_ok(abs($copies / (20000 - $copies) - 0.1), '<', 0.01,
	"a tenth of the readings is repeated ($copies)");
my @distance = distances($at);
is($distance[0], 1, 'some at once');
cmp_ok($distance[-1], '>', 900, 'some much later');
cmp_ok($distance[-1], '<=', 1000, 'but within the window');
my $at_once = grep { $_ == 1 } @distance;
cmp_ok(abs($at_once / @distance - 0.5), '<', 0.1, 'about half of them at once');
my (undef, undef, $again) = places(qw(--count 20000 --duplicates 0.1));
is($again, $out, 'the same seed repeats the same at the same places');
my @first = grep { /^reading/ } split /\n/, $out;
my (undef, undef, $plain) = places('--count', scalar(@first));
is($plain, join('', map { "$_\n" } @first), 'and the readings are those without');

($at) = places(qw(--count 5000 --duplicates 0.3 --duplicate-window 5));
@distance = distances($at);
cmp_ok($distance[-1], '<=', 5, 'a window of 5');
($at, $kinds) = places(qw(--count 1001 --duplicates 1));
is(scalar(grep { $_ eq 'duplicate' } @$kinds), 500,
	'all repeated: every second message, none promised that does not come');
is(scalar(grep { @$_ > 2 } values %$at), 0, 'nothing is there three times');
($at, $kinds) = places(qw(--count 100 --duplicates 1 --duplicate-window 1));
is("@$kinds", join(' ', ('reading', 'duplicate') x 50), 'a window of 1');
($at, $kinds) = places(qw(--count 3000 --duplicates 0.5 --malformed 0.2
	--tombstones 0.1 --extra 0.3));
is(scalar(grep { $_ eq 'duplicate' } @$kinds) > 300, 1,
	'only readings are repeated');
my ($one) = places(qw(--count 1 --duplicates 1));
is(scalar(keys %$one), 1, 'one message has no room for a copy');

# Send; (exit code, summary, truth, log, wrong lines, records without a line).
sub go
{
	my (@args) = @_;
	my $topic = topic($broker);
	my $truth = scratch('truth');
	my ($code, undef, $err) = run(producer($broker, $topic, qw(--rate 0
		--sensors 20 --heartbeat 0 --seed 12 --truth), $truth, @args));
	my $log = readback($broker, $topic, '-p');
	my $t = truth($truth);
	my ($wrong, $extra) = compare($t, $log);
	return { code => $code, s => summary($err), t => $t, log => $log,
		wrong => $wrong, extra => scalar(@$extra) };
}

# What is wrong with what the truth says of duplicates.
sub mistakes
{
	my ($r) = @_;
	my %by_place = map { $_->{at} => $_ } @{ $r->{t} };
	my @wrong;

	foreach my $line (grep { $_->{kind} eq 'duplicate' } @{ $r->{t} })
	{
		my $of = $by_place{ $line->{of} };
		push @wrong, "$line->{at} of $line->{of}"
		  unless $of && $of->{kind} eq 'reading' && $of->{at} ne $line->{at}
		  && ($of->{id} // '') eq ($line->{id} // '')
		  && $r->{log}{ $of->{at} }{payload} eq $r->{log}{ $line->{at} }{payload};
	}
	return @wrong;
}

sub is_right
{
	my ($r, $name) = @_;
	my %count;
	$count{ $_->{kind} }++ foreach @{ $r->{t} };
	is("$r->{code} $r->{wrong} $r->{extra}", '0 0 0', "$name: the truth holds");
	is(join(' ', mistakes($r)), '', "$name: duplicates are what they are of");
	is("$count{reading} $count{duplicate}",
		"$r->{s}{readings} $r->{s}{duplicates}", "$name: so does the summary");
	ok(accounted($r->{s}), "$name: every record is accounted for");
	return \%count;
}

foreach my $format (qw(factory reading city sensores))
{
	my $r = go('--format', $format, qw(--count 5000 --duplicates 0.2
		--malformed 0.05));
	my $count = is_right($r, $format);
	cmp_ok(abs($count->{duplicate} / $count->{reading} - 0.2), '<', 0.03,
		"$format: their share");
	my %times;
	my @lines = grep { $_->{kind} ne 'malformed' } @{ $r->{t} };
	$times{ $_->{id} // '' }++ foreach @lines;
	next if $format ne 'reading';
	is(scalar(keys %times), $count->{reading}, 'an id for each reading');
	is(scalar(grep { $_ == 2 } values %times), $count->{duplicate},
		'and twice for those sent twice');
	my @later = grep {
		my ($p1, $o1, $p2, $o2) = map { split / / } @$_{qw(of at)};
		$p1 != $p2 || $o1 > $o2
	} grep { $_->{kind} eq 'duplicate' } @lines;
	is(scalar(@later), 0, 'in a partition the duplicate is behind the reading');
}

# other ways to the topic
is_right(go(qw(--format reading --count 3000 --duplicates 0.3 --unkeyed)),
	'unkeyed');
is_right(go(qw(--count 300 --duplicates 0.5 --big 0.2 --big-bytes 20000)), 'big');
is_right(go(qw(--format reading --count 3000 --duplicates 0.3
	--transaction-share 0.4)), 'transactions');
my $r = go(qw(--format reading --count 3000 --duplicates 0.5
	--transaction-share 0.5 --abort-share 0.5 --transaction-size 50));
is("$r->{code} $r->{wrong} $r->{extra}", "0 0 $r->{s}{aborted}",
	'aborted: what the truth does not have was aborted');
is(join(' ', mistakes($r)), '', 'aborted: a copy is no duplicate of what is not there');
my %seen;
$seen{ $_->{id} }{ $_->{kind} }++ foreach @{ $r->{t} };
is(scalar(grep { ($_->{reading} // 0) != 1 } values %seen), 0,
	'aborted: of each id that arrived one is the reading');
ok($r->{s}{aborted} > 100 && accounted($r->{s}), 'aborted: all accounted for');

# brokers away in the middle
my $topic = topic($broker);
my $truth = scratch('truth');
my $run = start(producer($broker, $topic, qw(--format reading --count 4000
	--rate 4000 --sensors 20 --duplicates 0.3 --heartbeat 0 --truth), $truth));
ok(wait_until(sub { -s $truth }), 'running');
command($broker, qw(broker down all));
ok(wait_until(sub { slurp($run->{err}) =~ /connections are down/ }),
	'all brokers down');
command($broker, qw(broker up all));
my ($code, undef, $err) = finish($run, 30);
$r = { t => truth($truth), log => readback($broker, $topic, '-p'),
	s => summary($err) };
is("$code " . mistakes($r), '0 0', 'an outage spoils nothing');
ok(accounted($r->{s}), 'and every record is accounted for');

# a signal: copies that waited are not sent, and nobody said they would be
$topic = topic($broker);
$truth = scratch('truth');
$run = start(producer($broker, $topic, qw(--rate 2000 --duplicates 1
	--heartbeat 0 --print --truth), $truth));
ok(wait_until(sub { slurp($run->{out}) =~ tr/\n// > 100 }), 'running');
kill 'TERM', $run->{pid};
($code, undef, $err) = finish($run, 10);
my $s = summary($err);
ok($code eq '0' && $s->{sent} == $s->{delivered} && $s->{duplicates} > 0
	  && $s->{readings} > $s->{duplicates}, 'SIGTERM ends it cleanly');

# as sampled, a copy does not wait for the next sample
$topic = topic($broker);
($code) = run(producer($broker, $topic, qw(--count 2 --duplicates 1
	--sampling-interval 3600 --heartbeat 0 --seed 12)));
is("$code " . keys %{ readback($broker, $topic) }, '0 2',
	'a copy is sent without waiting for a sample');

# usage
foreach ([ '--duplicates', 1.5 ], [ '--duplicates', 'some' ],
	[ '--duplicates', -0.1 ], [ '--duplicate-window', 0 ])
{
	my ($failed, $none, $why) = run(@dry, '--count', 1, @$_);
	is("$failed $none", '2 ', "@$_: exit code 2");
	like($why, qr/^factorymon-producer: $_->[0]: "$_->[1]" is not a/,
		"@$_: says what is wrong");
}

done_testing();
