
# Deduplication by several workers: the same readings through two partitions at
# the same time, in opposite order, over edges of slices; workers that are
# terminated and killed; a wait for somebody who has a reading in hand. What is
# stored agrees with the producer's truth, and each duplicate is counted once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my @topics = qw(truth twice held);
my $broker = start_broker(topics => [ map { "$_:2" } @topics ]);
my $node = new_node(conf => "factorymon.restart_delay_max = '1s'\n"
	  . "factorymon.max_workers = 16\nfactorymon.batch_max_messages = 100\n");
my $begin = time() - 3600;

sub accounted
{
	my ($pipeline) = @_;

	return sql($node, <<"QUERY");
SELECT sum(messages + rejected + other + duplicates)
FROM factorymon.message_counters WHERE pipeline = '$pipeline'
QUERY
}

sub taken
{
	my ($pipeline, $total, $name) = @_;

	return ok(poll_while("$total messages of $pipeline",
			sub { (eval { accounted($pipeline) } // '') eq $total }), $name);
}

sub verified
{
	my ($pipeline) = @_;

	return is(sql($node, "SELECT * FROM factorymon.verify_delivery('$pipeline')"), '',
		"$pipeline: verify_delivery() finds nothing");
}

sub pipeline
{
	my ($topic, %more) = @_;

	create_pipeline($node, $broker, topic => $topic, name => $topic,
		format => 'reading', workers => 2, deduplicate => 'id',
		consumer_group => $topic, options => quick_options(), %more);
	return;
}

# --- the producer's truth -------------------------------------------------------
my $dir = PostgreSQL::Test::Utils::tempdir();
pipeline('truth');
ok(running($node, 2), 'two workers');
my $producer = start_producer(kafka => $broker, topic => 'truth', format => 'reading',
	count => 12000, rate => 2000, sensors => 50, seed => 159, unkeyed => 1,
	duplicates => 0.2, malformed => 0.02, heartbeat => 0, truth => "$dir/truth");
my @ways = ('TERM', 'KILL', 'TERM', 'TERM', 'KILL');
foreach my $round (1 .. @ways)
{
	poll_while('progress', sub { (eval { accounted('truth') } // 0) >= $round * 1500 });
	my $pid = eval { sql($node, <<"QUERY") };
SELECT pid FROM factorymon.worker_status() WHERE pipeline = 'truth'
ORDER BY worker_number OFFSET $round % 2 LIMIT 1
QUERY
	kill $ways[ $round - 1 ], $pid if $pid;
}
is($producer->wait->{rc}, 0, 'the producer delivered everything');
my @truth = lines_of("$dir/truth");
taken('truth', scalar @truth, 'terminated and killed, they account for every message');
verified('truth');
my (%kind, %id, %once);
foreach (@truth)
{
	my ($partition, $offset, $what, $id) = /^(\d+) (\d+) (\S+)(?: of=\S+)?(?: id=(\S+))? \S+$/
	  or die "truth: $_";

	$kind{$what}++;
	next unless $what eq 'reading' || $what eq 'duplicate';
	$id{"$partition/$offset"} = $id;
	$once{$id}++;
}
my %stored = map { split /=/ } split /\n/, sql($node, <<'QUERY');
SELECT concat(kafka_partition, '/', kafka_offset, '=', extra->>'unique_reading_id')
FROM factorymon.sensor_readings WHERE pipeline = 'truth'
QUERY
my %dropped = map { my ($at, @rest) = split /=/; ($at => \@rest) } split /\n/, sql($node, <<'QUERY');
SELECT concat(kafka_partition, '/', kafka_offset, '=', reading_id, '=',
	first_partition, '/', first_offset)
FROM factorymon.duplicates WHERE pipeline = 'truth'
QUERY
cmp_ok($kind{duplicate}, '>', 1000, 'there were duplicates');
is(scalar(keys %stored), $kind{reading}, 'as many readings are stored as were sent once');
is(scalar(keys %dropped), $kind{duplicate}, 'as many dropped as were sent again');
is(sql($node, <<'QUERY'), $kind{duplicate}, 'each is counted once');
SELECT duplicates FROM factorymon.message_counters WHERE pipeline = 'truth'
QUERY
is(sql($node, <<'QUERY'), $kind{malformed}, 'and what is broken is rejected');
SELECT rejected FROM factorymon.message_counters WHERE pipeline = 'truth'
QUERY
is(join(' ', grep { !exists $stored{$_} && !exists $dropped{$_} } sort keys %id), '',
	'each of them is stored or listed');
is(join(' ', grep { exists $stored{$_} && exists $dropped{$_} } sort keys %id), '',
	'none is both');
is(join(' ', grep { $stored{$_} ne $id{$_} } sort keys %stored), '',
	'under its own id');
my %seen;
$seen{$_}++ foreach values %stored;
is(join(' ', grep { ($seen{$_} // 0) != 1 } sort keys %once), '', 'each id once');
is(join(' ', grep { $dropped{$_}[0] ne $id{$_} ||
			($stored{$dropped{$_}[1]} // '') ne $id{$_} } sort keys %dropped), '',
	'each that was dropped says where its first is stored');

# --- the same through both partitions at once, over edges of slices --------------
sub both
{
	my ($topic, @lines) = @_;
	my @in = map { join '', map { "$_\n" } @$_ } \@lines, [ reverse @lines ];
	my @runs = map {
		IPC::Run::start([ 'kcat', '-P', '-b', $broker->bootstrap, '-t', $topic,
				'-p', $_ ], '<', \$in[$_])
	} 0, 1;

	$_->finish or die 'kcat failed' foreach @runs;
	return;
}

sub reading
{
	my ($id, $value) = @_;

	return sprintf '{"unique_reading_id":"id-%s","sensor_id":"s-%s","sensor_type":'
	  . '"temperature","value":%s,"timestamp":%d}', $id, $id % 3, $value // 20,
	  $begin + $id % 1000;
}

pipeline('twice', deduplicate_ttl => '20 seconds');
ok(running($node, 4), 'a short time to live');
my $started = now();
my ($ids, $rounds) = (0, 0);
while (now() < $started + 24)
{
	both('twice', map { reading(++$ids) } 1 .. 200);
	last unless poll_while('both', sub { (eval { accounted('twice') } // '') eq 2 * $ids });
	$rounds++;
}
cmp_ok($rounds, '>', 10, "$rounds times the same in opposite order");
is(sql($node, <<'QUERY'), "$ids $ids", 'one of each two is stored');
SELECT concat_ws(' ', count(*), count(DISTINCT extra->>'unique_reading_id'))
FROM factorymon.sensor_readings WHERE pipeline = 'twice'
QUERY
cmp_ok(sql($node, <<'QUERY'), '>=', 2, 'over edges of slices');
SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ (SELECT
	format('^duplicate_%s_p', pipeline_id) FROM _factorymon.pipeline
	WHERE name = 'twice')
QUERY
is(sql($node, <<'QUERY'), $ids, 'the other one is counted');
SELECT duplicates FROM factorymon.message_counters WHERE pipeline = 'twice'
QUERY
verified('twice');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'nobody waits in a circle');

# --- somebody has the reading in hand ---------------------------------------------
pipeline('held');
ok(running($node, 6), 'a third');
my $table = sql($node, <<'QUERY');
SELECT '_factorymon.reading_' || pipeline_id FROM _factorymon.pipeline WHERE name = 'held'
QUERY

sub send_to
{
	my ($partition, @lines) = @_;
	my $in = join '', map { "$_\n" } @lines;

	IPC::Run::run([ 'kcat', '-P', '-b', $broker->bootstrap, '-t', 'held', '-p',
			$partition ], '<', \$in) or die 'kcat failed';
	return;
}
sql($node, "ALTER TABLE $table ADD CONSTRAINT plausible CHECK (value < 1000)");
send_to(0, reading(1, 2000), reading(2, 2000));
taken('held', 2, 'two rejects');
sql($node, "ALTER TABLE $table DROP CONSTRAINT plausible");
my $total = 2;
foreach my $id (1, 2)
{
	my $session = $node->background_psql('factory');

	$session->query_safe('BEGIN');
	is($session->query_safe('SELECT stored FROM factorymon.retry_rejects('
			  . "'held', from_offset => $id - 1, to_offset => $id)"),
		1, 'a reject is being retried');
	send_to(1, reading($id));
	$total++;
	ok(poll_until($node, <<'QUERY', 1), 'a worker waits to see what becomes of it');
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'factorymon worker' AND wait_event_type = 'Lock'
	AND wait_event = 'transactionid'
QUERY
	ok(poll_until($node, <<'QUERY', 't'), 'but not for ever: it says so');
SELECT bool_or(state = 'retrying' AND last_error ~ 'lock timeout')
FROM factorymon.worker_status() WHERE pipeline = 'held'
QUERY
	$session->query_safe($id == 1 ? 'COMMIT' : 'ROLLBACK');
	$session->quit;
	taken('held', $total, $id == 1 ? 'committed:' : 'rolled back:');
	is(sql($node, <<"QUERY"), $id == 1 ? 1 : 0, $id == 1 ? 'it is a duplicate' : 'it is new');
SELECT count(*) FROM factorymon.duplicates WHERE reading_id = 'id-$id' AND pipeline = 'held'
QUERY
}
verified('held');
$node->stop;
done_testing();
