
# The four formats through chaos on Apache Kafka: a topic, a pipeline and a group
# each, of two owners, with 5 % of the readings sent twice and 2 % of the messages
# malformed.  While producers send, workers are terminated and killed, the server is
# stopped hard, brokers are killed, partitions are added, in an order that a seed
# decides.  At the end each message is what its producer's truth says: stored as
# it was, refused, or known as the copy of one that is stored, and nothing is lost.
#
# Duplicates are told by the id in the format that has one, and by sensor and time in
# the others: --start makes the producers' clock run with the readings, so
# that no two readings of a sensor have the same time, however fast they are sent.
# Those with ids are sent without keys, so that a copy may be in another partition
# than its reading, and with another worker.
#
# Environment: FACTORYMON_SEED, to see an order again; FACTORYMON_LONG=1, for
# 1,000,000 messages instead of 50,000 and 34 faults instead of five.

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
  ? (terminate => 10, kill => 10, server => 5, broker => 5, partitions => 4)
  : (terminate => 2, kill => 1, broker => 1, partitions => 1);
my $count = $long ? 250_000 : 12_500;    # messages of each format
my $rate = $long ? 1_500 : 900;
my $patience = $long ? 600 : 300;        # everything here competes for few cores

# Formats, each with its topic, what its messages hold, and what makes two of them
# the same.
my @formats = (
	{ format => 'factory', topic => 'sensor-data', owner => 'plant_a', sensors => 100,
		readings => 1, deduplicate => 'sensor_time' },
	{ format => 'reading', topic => 'iot-sensor-data', owner => 'plant_a', sensors => 100,
		readings => 1, deduplicate => 'id', unkeyed => 1 },
	{ format => 'city', topic => 'sensores-iot', owner => 'plant_b', sensors => 60,
		readings => 2, deduplicate => 'sensor_time' },
	{ format => 'sensores', topic => 'iot_sensores', owner => 'plant_b', sensors => 100,
		readings => 2, deduplicate => 'sensor_time' });

srand($seed);
my @plan = sort { $a->{turn} <=> $b->{turn} }
  map { my $fault = $_; map { { fault => $fault, turn => rand, dice => rand } } 1 .. $times{$fault} }
  sort keys %times;
diag "seed $seed: " . join ' ', map { $_->{fault} } @plan;
$ENV{PGCTLTIMEOUT} = $patience;

my $kafka = start_kafka(
	topics => [ map { "$_->{topic}:3:2" } @formats ],
	default_topics => 0);
my $node = new_node(conf => "factorymon.restart_delay_min = '200ms'\n"
	  . "factorymon.max_workers = 24\n");
my $dir = PostgreSQL::Test::Utils::tempdir();
my $total = $count * @formats;
my $began = now();
my %done;
my $added = 0;

sub a_worker
{
	my ($dice) = @_;
	my @pids;

	poll_while('a worker', sub { @pids = eval { worker_pids($node) } }, $patience);
	return $pids[ int($dice * @pids) ];
}

my %fault = (
	terminate => sub {
		return sql($node, 'SELECT pg_terminate_backend(' . a_worker($_[0]) . ')') eq 't';
	},
	kill => sub {
		my $log = -s $node->logfile;

		return kill('KILL', a_worker($_[0]))
		  && wait_for_log($node, qr/all server processes terminated; reinit/,
			$log, $patience)
		  && poll_until($node, 'SELECT 1', 1, $patience);
	},
	server => sub {
		$node->stop('immediate');
		return $node->start;
	},
	broker => sub {
		my $number = 1 + int($_[0] * 3);

		# the one to be killed may hold the only other copy
		poll_while('every replica to be in sync',
			sub { ($kafka->try_admin('wait-in-sync'))[0] }, $patience);
		$kafka->kill_broker($number);
		$kafka->restart_broker($number);
		return 1;
	},
	partitions => sub {
		my $format = $formats[ $added++ % @formats ];

		$format->{partitions}++;
		$kafka->add_partitions($format->{topic}, $format->{partitions});
		return 1;
	});

# --- four pipelines of two owners ----------------------------------------------
create_server($node, $kafka, options => {
		'session.timeout.ms' => 6000, 'topic.metadata.refresh.interval.ms' => 1000 });
foreach my $owner (qw(plant_a plant_b))
{
	sql($node, <<"QUERY");
CREATE ROLE $owner LOGIN;
SELECT factorymon.grant_access('admin', '$owner');
GRANT USAGE ON FOREIGN SERVER plant TO $owner;
QUERY
}
my $deduplicates = sql($node, <<'QUERY') eq 't';
SELECT to_regclass('factorymon.duplicates') IS NOT NULL
QUERY
my $stored = 'SELECT coalesce(sum(messages + rejected + other'
  . ($deduplicates ? ' + duplicates' : '') . '), 0) FROM factorymon.message_counters';
foreach my $format (@formats)
{
	my $more = $deduplicates ? ", deduplicate => '$format->{deduplicate}'" : '';

	$format->{partitions} = 3;
	$format->{truth} = "$dir/$format->{format}";
	sql($node, <<"QUERY");
SET ROLE $format->{owner};
SELECT factorymon.create_pipeline('$format->{topic}', server => 'plant',
	name => '$format->{format}', format => '$format->{format}', workers => 2,
	consumer_group => 'group-$format->{format}'$more);
QUERY
}
ok(running($node, 3 * @formats, $patience), 'every partition of the four runs');

# --- messages, and what happens meanwhile ----------------------------------------
# One request at a time: of a batch sent again after a broker died, the next one
# knows that it has it, but its offset only if it is the newest one.
my $start = time - 12 * 3600;
foreach my $format (@formats)
{
	$format->{producer} = start_producer(
		kafka => $kafka, topic => $format->{topic}, format => $format->{format},
		sensors => $format->{sensors}, count => $count, rate => $rate,
		duplicates => 0.05, malformed => 0.02, seed => $seed, start => "\@$start",
		heartbeat => 0, truth => $format->{truth}, flush_timeout => $patience,
		producer_id => $format->{format}, unkeyed => $format->{unkeyed},
		properties => {
			'max.in.flight' => 1, 'topic.metadata.refresh.interval.ms' => 1000 });
}

# Faults are spread over the messages, not over time.
foreach my $round (0 .. $#plan)
{
	my $what = $plan[$round]{fault};
	my $due = int($total * ($round + 1) / (@plan + 2));
	my $at = now();
	my $before;

	unless (poll_until($node, $stored, sub { $_[0] >= $due }, $patience))
	{
		fail("round $round: messages are stored");
		last;
	}
	unless ($fault{$what}->($plan[$round]{dice}))
	{
		fail("round $round: $what");
		last;
	}
	$done{$what}++;
	note sprintf 'round %d: %s, %.1f s', $round, $what, now() - $at;
}
is_deeply(\%done, \%times, 'every fault came while messages were stored');
is_deeply([ map { $_->{producer}->wait($patience)->{rc} } @formats ], [ (0) x @formats ],
	'the producers delivered everything');
my $sent_seconds = now() - $began;

# --- each message is what the truth says -------------------------------------------
my %found;

sub counter
{
	my ($pipeline, $column) = @_;

	return sql($node, "SELECT sum($column) FROM factorymon.message_counters "
		  . "WHERE pipeline = '$pipeline'");
}

foreach my $format (@formats)
{
	my $name = $format->{format};
	my %kinds = (reading => 0, duplicate => 0, malformed => 0);
	my %of;
	my %dropped;

	foreach (lines_of($format->{truth}))
	{
		my ($partition, $offset, $kind, $of) = split / /;

		$kinds{$kind}++;
		$of{"$partition/$offset"} = $of =~ s/^of=//r if $kind eq 'duplicate';
	}
	is($kinds{reading} + $kinds{duplicate} + $kinds{malformed}, $count,
		"$name: every message was delivered");
	cmp_ok($kinds{duplicate}, '>', 0.03 * $count, "$name: some twice");
	cmp_ok($kinds{malformed}, '>', 0.01 * $count, "$name: some malformed");
	ok(poll_until($node, "$stored WHERE pipeline = '$name'", $count, $patience),
		"$name: each is accounted for");
	ok(poll_until($node, <<"QUERY", 't', $patience), "$name: no lag, in every partition");
SELECT count(*) = $format->{partitions}
	AND bool_and(state = 'running' AND lag_messages = 0 AND committed_offset = position)
FROM factorymon.partition_status() WHERE pipeline = '$name'
QUERY
	%dropped = duplicates_are_those($name, \%of) if $deduplicates;
	is_exact($node, [ $format->{truth} ], pipeline => $name, name => $name,
		dropped => \%dropped);
	is(counter($name, 'rejected'), $kinds{malformed},
		"$name: the malformed ones are the rejects");
	is(sql($node, "SELECT count(*) FROM factorymon.sensor_readings WHERE pipeline = '$name'"),
		$format->{readings}
		  * ($kinds{reading} + ($deduplicates ? 0 : $kinds{duplicate})),
		"$name: and the others the readings");
	$found{$name} = "$kinds{reading} + $kinds{duplicate} + $kinds{malformed}";
	next unless $deduplicates;
	my $elsewhere = sql($node, <<"QUERY");
SELECT count(*) FROM factorymon.duplicates
WHERE pipeline = '$name' AND kafka_partition <> first_partition
QUERY
	$found{$name} .= " ($elsewhere copies in another partition)";
	cmp_ok($elsewhere, '>', 0, "$name: some of them in another partition")
	  if $format->{unkeyed};
}

# Of a reading and its copy one is stored, whichever came first where they are in
# two partitions, and the other is listed, once, with where the first one is.
sub duplicates_are_those
{
	my ($name, $of) = @_;
	my @listed = split /\n/, sql($node, <<"QUERY");
SELECT concat_ws('/', kafka_partition, kafka_offset) || ' '
	|| concat_ws('/', first_partition, first_offset)
FROM factorymon.duplicates WHERE pipeline = '$name'
QUERY
	my %first = map { split / / } @listed;
	my @odd = grep { my ($one, $other) = ($_, $of->{$_});
		($first{$one} // '') ne $other && ($first{$other} // '') ne $one } sort keys %$of;
	my %dropped;

	is_deeply([ @odd[ 0 .. ($#odd < 4 ? $#odd : 4) ] ], [],
		"$name: each duplicate is known as the copy of its reading");
	is(scalar @listed, scalar keys %$of, "$name: once, and nothing else is");
	$dropped{$_ =~ s{/}{ }r} = 1 foreach keys %first;
	return %dropped;
}

is(sql($node, <<'QUERY'), 'plant_a,plant_b', 'of two owners, none as superuser');
SELECT string_agg(DISTINCT p.owner, ',' ORDER BY p.owner)
FROM factorymon.pipelines p
QUERY
unlike(events($node), qr/suspect|gap|incarnation/, 'no log was taken for another one');
unlike(slurp_file($node->logfile), qr/PANIC: |TRAP: |terminated by signal (?!9\b)/,
	'no process crashed by itself');
diag sprintf '%d messages, sent in %.0f s, %.0f s in all; readings + duplicates + malformed: %s',
  $total, $sent_seconds, now() - $began, join ', ', map { "$_ $found{$_}" } sort keys %found;

$node->stop;
done_testing();
