
# Chaos on Apache Kafka: while producers send, workers are terminated and
# killed, the server is stopped hard, brokers are killed, the pipeline or a
# partition is paused, partitions are added, in an order that a seed decides.
# At the end every message is stored once and all accounts agree that none is
# left.
#
# Environment: FACTORYMON_SEED, to see an order again; FACTORYMON_LONG=1, for
# ten faults of each kind and 300,000 messages instead of a minute of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $long = $ENV{FACTORYMON_LONG} ? 1 : 0;
my $seed = $ENV{FACTORYMON_SEED} // (time ^ $$ << 4) % 1_000_000;
my %times =
  $long
  ? (terminate => 10, kill => 10, server => 10, broker => 10, pause => 10,
	partitions => 2)
  : (terminate => 2, kill => 1, server => 1, broker => 1, pause => 2,
	partitions => 1);
my $wanted = $long ? 300_000 : 30_000;
my $patience = 300;    # seconds: everything here competes for few cores

# What happens is decided before anything else asks for random numbers.
srand($seed);
my @plan = plan_of(%times);
# Aborted messages are never delivered: 3 % of these.
my $burst_size = int(1.05 * $wanted / @plan);

diag "seed $seed: " . join ' ', map { $_->{fault} } @plan;
$ENV{PGCTLTIMEOUT} = $patience;

my $kafka = start_kafka();
my $node = new_node(conf => "factorymon.restart_delay_min = '200ms'\n");
my $dir = PostgreSQL::Test::Utils::tempdir();
my $stored = 'SELECT sum(messages + rejected + other) '
  . 'FROM factorymon.message_counters';
my %fault = (
	terminate => \&terminate_worker, kill => \&kill_worker,
	server => \&stop_server, broker => \&kill_broker,
	pause => \&pause_and_resume, partitions => \&add_partitions);
my (@truth, @bursts, @codes);
my (%done, %lag_seen);
my $partitions = 3;
my $broker_down;       # its number, if one is left down for the next fault
my $began = now();

# Faults in random order, each with the dice that it needs.
sub plan_of
{
	my (%times) = @_;
	my @faults = map { ($_) x $times{$_} } sort keys %times;
	my @plan;

	while (@faults)
	{
		my ($fault) = splice @faults, int rand @faults, 1;

		push @plan, { fault => $fault, dice => [ map { rand } 1 .. 3 ] };
	}
	return @plan;
}

# One of these, as the dice say.
sub pick
{
	my ($dice, @choice) = @_;

	return $choice[ int($dice * @choice) ];
}

# A producer with a truth of its own.  One request at a time: of a batch sent
# again after a broker died, the next one knows that it has it, but its offset
# only if it is the newest one.
sub produce
{
	my ($name, %opt) = @_;

	push @truth, "$dir/$name";
	return start_producer(
		kafka => $kafka, sensors => 60, malformed => 0.01,
		transaction_share => 0.1, abort_share => 0.3, producer_id => $name,
		sensor_id => $name, truth => $truth[-1], flush_timeout => $patience,
		properties => { 'max.in.flight' => 1 }, %opt);
}

# Each round has messages of its own, besides the steady ones.
sub start_burst
{
	my ($round, $dice) = @_;

	while (@bursts >= 3)
	{
		push @codes, (shift @bursts)->wait($patience)->{rc};
	}
	push @bursts, produce("burst-$round", count => $burst_size, rate => 2500,
		heartbeat => 0, seed => $seed + $round,
		compression => pick($dice, qw(none gzip snappy lz4 zstd)));
	return;
}

# A statement that may be refused for a moment: a lock, a restart.
sub insist
{
	my ($query) = @_;
	my $err;

	poll_while(
		"statement: $query",
		sub {
			my $rc = eval { $node->psql('factory', $query, stderr => \$err) };

			return defined $rc && $rc == 0;
		},
		$patience) or diag "last error: $err";
	return;
}

# Wait until there is something to disturb: messages wait, or are being stored.
sub loaded
{
	my ($what) = @_;
	my ($before, $lag);
	my $ok = poll_until(
		$node,
		"SELECT coalesce(sum(lag_messages), 0), ($stored) "
		  . 'FROM factorymon.partition_status()',
		sub {
			my ($now, $count) = split /\|/, $_[0];

			$before //= $count;
			$lag = $now;
			return $lag > 0 || $count > $before;
		},
		$patience);

	$lag_seen{$what} += $lag if $ok;
	return $ok;
}

# More is stored than before: the pipeline goes on.
sub goes_on
{
	my ($before) = @_;

	return poll_until($node, $stored,
		sub { $_[0] ne '' && $_[0] > $before + 200 }, $patience);
}

sub some_worker
{
	my ($dice) = @_;
	my @pids;

	poll_while('a worker', sub { @pids = worker_pids($node) }, $patience);
	return pick($dice, @pids);
}

sub terminate_worker
{
	my ($dice) = @_;

	return sql($node,
		'SELECT pg_terminate_backend(' . some_worker($dice->[0]) . ')') eq 't';
}

sub kill_worker
{
	my ($dice) = @_;
	my $log = -s $node->logfile;

	return kill('KILL', some_worker($dice->[0]))
	  && wait_for_log($node, qr/all server processes terminated; reinit/,
		$log, $patience)
	  && poll_until($node, 'SELECT 1', 1, $patience);
}

sub stop_server
{
	$node->stop('immediate');
	return $node->start;
}

# Half of the time the broker stays down until after the next fault.
sub kill_broker
{
	my ($dice) = @_;
	my $before;

	$broker_down = pick($dice->[0], 1, 2, 3);
	$before = sql($node, $stored);
	$kafka->kill_broker($broker_down);
	return 0 unless goes_on($before);
	restart_broker() if $dice->[1] < 0.5;
	return 1;
}

# The next one to be killed may hold the only other copy.
sub restart_broker
{
	$kafka->restart_broker($broker_down);
	poll_while('every replica to be in sync',
		sub { ($kafka->try_admin('wait-in-sync'))[0] }, $patience);
	undef $broker_down;
	return;
}

sub pause_and_resume
{
	my ($dice) = @_;
	my $one = $dice->[0] < 0.5 ? undef : int($dice->[1] * $partitions);
	my $which = defined $one ? ", $one" : '';
	my $where = defined $one ? "WHERE kafka_partition = $one" : '';
	my $paused;

	insist("SELECT factorymon.pause('sensor-data'$which)");
	$paused = poll_until($node, <<"QUERY", 't', $patience);
SELECT count(*) > 0 AND bool_and(state = 'paused')
FROM factorymon.partition_status() $where
QUERY
	insist("SELECT factorymon.resume('sensor-data'$which)");
	return $paused;
}

sub add_partitions
{
	$partitions += 2;
	$kafka->add_partitions('sensor-data', $partitions);
	return 1;
}

create_pipeline($node, $kafka, workers => 3,
	options => { 'session.timeout.ms' => 6000 });
ok(running($node, 3, $patience), 'every partition runs');

# Its transactions are small: an open one keeps what follows it from being read.
my $steady = produce('steady', rate => 150, heartbeat => 1, seed => $seed,
	transaction_size => 10);

foreach my $round (0 .. $#plan)
{
	my $what = $plan[$round]{fault};
	my $start = now();
	my ($before, $down);

	restart_broker() if $broker_down && $what eq 'broker';
	$down = $broker_down;
	start_burst($round, $plan[$round]{dice}[2]);
	unless (loaded($what) && $fault{$what}->($plan[$round]{dice}))
	{
		fail("round $round: $what");
		last;
	}
	$before = sql($node, $stored);
	unless (goes_on($before))
	{
		fail("round $round: goes on after $what");
		last;
	}
	restart_broker() if $down;
	$done{$what}++;
	note sprintf 'round %d: %s%s, %.1f s', $round, $what,
	  $down ? " with broker $down down" : '', now() - $start;
}
restart_broker() if $broker_down;
start_burst(scalar @plan, 0);    # in the partitions that came last, too
is_deeply(\%done, \%times,
	'the pipeline went on after every fault, each while messages flowed');

push @codes, $_->wait($patience)->{rc} foreach @bursts;
push @codes, $steady->stop($patience)->{rc};
is_deeply([ grep { $_ ne '0' } @codes ], [],
	'the producers delivered everything');
my $chaos_seconds = now() - $began;

my @lines = map { lines_of($_) } @truth;
my $malformed = grep { / malformed / } @lines;
my $total = @lines;

cmp_ok($total, '>=', $wanted, 'that were enough messages');
ok(caught_up($node, $total, $patience), 'every message is accounted for');
ok(lag_is_zero($node, $patience), 'lag reaches zero');
is(sql($node, 'SELECT count(*) FROM factorymon.partition_status()'),
	$partitions, 'in every partition there is now');
is_exact($node, \@truth);

# Lines of ConsumerGroupCommand: GROUP TOPIC PARTITION CURRENT-OFFSET
# LOG-END-OFFSET LAG and who reads it.
my %lag;
ok( poll_while(
		'the group to have no lag',
		sub {
			%lag = map { (split ' ', $_)[ 2, 5 ] }
			  grep { /^sensor-processors\s+sensor-data\s/ }
			  split /\n/, $kafka->group('sensor-processors');
			return keys %lag == $partitions && !grep { $_ ne '0' } values %lag;
		},
		$patience),
	"Kafka's own command sees no lag")
  or diag join ' ', map { "$_: $lag{$_}" } sort keys %lag;
ok(poll_until($node, <<'QUERY', 't', $patience), 'nor do we see one there');
SELECT bool_and(committed_offset = position) FROM factorymon.partition_status()
QUERY

unlike(events($node), qr/suspect|gap|incarnation/,
	'no log was taken for another one');
unlike(slurp_file($node->logfile),
	qr/PANIC: |TRAP: |terminated by signal (?!9\b)/,
	'no process crashed by itself');

diag sprintf '%d messages, %d of them malformed, from %d producers; '
  . '%.0f s of chaos, %.0f s in all', $total, $malformed, scalar @truth,
  $chaos_seconds, now() - $began;
diag 'faults, and the mean lag when they came: ' . join ', ',
  map { sprintf '%s %d (%.0f)', $_, $done{$_}, $lag_seen{$_} / $done{$_} }
  sort keys %done;
diag 'events: ' . sql($node, <<'QUERY');
SELECT string_agg(event || ' ' || n, ', ' ORDER BY event)
FROM (SELECT event, count(*) AS n FROM factorymon.rebalancing_events
	GROUP BY event) AS e
QUERY

$node->stop;
done_testing();
