
# Deduplication: messages whose readings were all stored before are dropped,
# listed and counted: across partitions, batches, restarts, slices of time, and
# until the time to live is over; nothing is its own duplicate after a replay or
# a retry; and the tables that keep the keys go away again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my %partitions = (readings => 2, gateway => 1, cities => 1, short => 1);
my $broker = start_broker(topics => [ map { "$_:$partitions{$_}" } sort keys %partitions ]);
my $node = new_node(conf => "factorymon.restart_delay_max = '2s'\n"
	  . "factorymon.max_workers = 16\nfactorymon.snapshot_interval = '200ms'\n");
my $begin = time() - 3600;
my %sent = map { ($_ => 0) } keys %partitions;

# --- sending and waiting --------------------------------------------------------
sub send_to
{
	my ($topic, $partition, @lines) = @_;
	my $in = join '', map { "$_\n" } @lines;
	my $err = '';

	IPC::Run::run([ 'kcat', '-P', '-b', $broker->bootstrap, '-t', $topic, '-p',
			$partition ], '<', \$in, '2>', \$err)
	  or die "kcat: $err";
	$sent{$topic} += @lines;
	return;
}

# A reading by its number; the second argument is its value.
sub reading
{
	my ($id, $value) = @_;

	return sprintf '{"unique_reading_id":"id-%s","sensor_id":"s-%s","sensor_type":'
	  . '"temperature","value":%s,"timestamp":%d}', $id, $id % 3, $value // 20,
	  $begin + $id;
}

sub taken
{
	my ($pipeline, $name) = @_;

	return ok(poll_until($node, <<"QUERY", $sent{$pipeline}), $name);
SELECT sum(messages + rejected + other + duplicates)
FROM factorymon.message_counters WHERE pipeline = '$pipeline'
QUERY
}

# What was stored, dropped, rejected.
sub counts
{
	my ($pipeline) = @_;

	return sql($node, <<"QUERY");
SELECT concat_ws(' ', readings, duplicates, rejected)
FROM factorymon.message_counters WHERE pipeline = '$pipeline'
QUERY
}

# partition/offset of each that was dropped, and of the first
sub dropped
{
	my ($pipeline) = @_;

	return sql($node, <<"QUERY");
SELECT string_agg(concat(kafka_partition, '/', kafka_offset, '=', first_partition,
	'/', first_offset), ' ' ORDER BY kafka_partition, kafka_offset)
FROM factorymon.duplicates WHERE pipeline = '$pipeline'
QUERY
}

sub verified
{
	my ($pipeline) = @_;

	is(sql($node, "SELECT * FROM factorymon.verify_delivery('$pipeline')"), '',
		"$pipeline: verify_delivery() finds nothing");
	is(sql($node, <<"QUERY"), 't', 'the list, the ledger and partition_status() agree');
SELECT (SELECT count(*) FROM factorymon.duplicates WHERE pipeline = '$pipeline')
	= (SELECT sum(duplicates) FROM factorymon.ledger WHERE pipeline = '$pipeline')
	AND (SELECT sum(duplicates) FROM factorymon.ledger WHERE pipeline = '$pipeline')
	= (SELECT sum(duplicates) FROM factorymon.partition_status() s
		WHERE s.pipeline = '$pipeline')
QUERY
	return;
}

# --- across partitions and batches ------------------------------------------------
create_pipeline($node, $broker, topic => 'readings', name => 'readings',
	format => 'reading', workers => 2, deduplicate => 'id',
	consumer_group => 'readings', options => quick_options());
ok(running($node, 2), 'a pipeline with deduplication');
send_to('readings', 0, reading(1), reading(2), reading(1), reading(3));
taken('readings', 'a repeated reading in the same batch');
is(counts('readings'), '3 1 0', 'is not stored');
is(dropped('readings'), '0/2=0/0', 'but listed, with where it was first');
send_to('readings', 1, reading(2), reading(4));
send_to('readings', 0, reading(4)) if taken('readings', 'a repeated one in another partition');
taken('readings', 'and the other way');
is(counts('readings'), '4 3 0', 'is none of them');
is(dropped('readings'), '0/2=0/0 0/4=1/1 1/0=0/1', 'with the partition of the first');
is(sql($node, <<'QUERY'), 'id-2', 'and the id');
SELECT reading_id FROM factorymon.duplicates WHERE kafka_partition = 1
QUERY
$node->restart;
send_to('readings', 1, reading(3), reading(5));
taken('readings', 'after a restart');
is(counts('readings'), '5 4 0', 'what was stored before it is known');
verified('readings');

# --- what is not stored is not known ------------------------------------------------
send_to('readings', 0, '{"unique_reading_id":"id-6"}', reading(6), reading(6));
taken('readings', 'a reject with an id');
is(counts('readings'), '6 5 1', 'does not make the reading a duplicate');
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 ADD CONSTRAINT plausible CHECK (value < 1000);
QUERY
send_to('readings', 0, reading(7, 2000), reading(8), reading(7, 20), reading(7, 20),
	reading(8));
taken('readings', 'nor does one that the database refuses');
is(counts('readings'), '8 7 2', 'though it stands in the same batch');
verified('readings');

# --- retried rejects ----------------------------------------------------------------
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT plausible;
QUERY
is(sql($node, "SELECT * FROM factorymon.retry_rejects('readings', reason => 'database')"),
	'1|1|0', 'a reject whose reading has been stored since');
is(counts('readings'), '8 8 1', 'is a duplicate, too');
like(dropped('readings'), qr{0/8=0/10 }, 'and listed');
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 ADD CONSTRAINT plausible CHECK (value < 1000);
QUERY
send_to('readings', 1, reading(9, 2000), reading(10, 2000), reading(10, 2000));
taken('readings', 'more of them');
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT plausible;
QUERY
is(sql($node, "SELECT * FROM factorymon.retry_rejects('readings', reason => 'database')"),
	'3|3|0', 'are retried together');
is(counts('readings'), '10 9 1', 'and two of the three stored');
send_to('readings', 0, reading(9), reading(10));
taken('readings', 'what comes after them');
is(counts('readings'), '10 11 1', 'is known');
verified('readings');

sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 ADD CONSTRAINT plausible CHECK (value < 10) NOT VALID;
QUERY
send_to('readings', 0, reading(11, 2000), reading(11, 20), reading(11, 30));
taken('readings', 'three rejects of one reading');
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT plausible;
ALTER TABLE _factorymon.reading_1 ADD CONSTRAINT plausible CHECK (value < 1000) NOT VALID;
QUERY
is(sql($node, "SELECT * FROM factorymon.retry_rejects('readings', reason => 'database')"),
	'3|2|1', 'the first of which is refused again');
is(counts('readings'), '11 12 2', 'what follows is no repetition of it');
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT plausible;
QUERY
verified('readings');

# --- a replay -----------------------------------------------------------------------
foreach my $partition (0, 1)
{
	sql($node, <<"QUERY");
SELECT factorymon.pause('readings', $partition);
SELECT factorymon.seek('readings', $partition, 'earliest', replay => true);
SELECT factorymon.resume('readings', $partition);
QUERY
	taken('readings', "partition $partition is read again");
	is(sql($node, <<'QUERY'), '11 11', 'and nothing is its own duplicate');
SELECT concat_ws(' ', count(*), count(DISTINCT extra->>'unique_reading_id'))
FROM factorymon.sensor_readings WHERE pipeline = 'readings'
QUERY
	verified('readings');
}

# --- several readings in a message ---------------------------------------------------
sql($node, <<'QUERY');
INSERT INTO factorymon.format VALUES ('gateway', '{"each": "/p",
	"timestamp": {"at": "/t", "as": "epoch_s"}, "sensor_id": "@/n",
	"unique_id": {"at": "@/id", "required": false},
	"sensor_type": {"const": "temperature"}, "value": "@/v"}');
INSERT INTO factorymon.threshold (sensor_type, critical_high) VALUES ('temperature', 90);
QUERY

sub gateway
{
	my ($at, @readings) = @_;

	return sprintf '{"t":%d,"p":[%s]}', $begin + $at, join ',', map {
		my ($id, $value) = split /=/;

		sprintf '{%s"n":"n-%s","v":%d}',
		  $id =~ /^x/ ? '' : "\"id\":\"$id\",", $id, $value // 20;
	} @readings;
}
create_pipeline($node, $broker, topic => 'gateway', name => 'gateway',
	format => 'gateway', deduplicate => 'id', consumer_group => 'gateway');
ok(running($node, 3), 'several readings in a message');
send_to('gateway', 0, gateway(1, qw(a b)), gateway(2, qw(b a)), gateway(3, qw(a c)),
	gateway(4, qw(c)), gateway(5, qw(d d)), gateway(5, qw(d d)), gateway(6, qw(d)),
	gateway(7, qw(x1)), gateway(7, qw(x1)), gateway(8, qw(a x2)), gateway(9));
taken('gateway', 'a message is dropped');
is(dropped('gateway'), '0/1=0/0 0/3=0/2 0/5=0/4 0/6=0/4',
	'if all its readings were there before');
is(counts('gateway'), '10 4 0', 'else it is stored whole');
is(sql($node, <<'QUERY'), 'a c', 'with the readings that were there');
SELECT string_agg(replace(sensor_id, 'n-', ''), ' ' ORDER BY reading_index)
FROM factorymon.sensor_readings WHERE pipeline = 'gateway' AND kafka_offset = 2
QUERY
verified('gateway');

# --- what a duplicate does not touch ----------------------------------------------------
send_to('gateway', 0, gateway(10, 'hot=95'), gateway(11, 'cold=20'), gateway(10, 'hot=95'));
taken('gateway', 'an alarm and its repetition');
is(sql($node, <<'QUERY'), '1', 'is one alarm');
SELECT count(*) FROM factorymon.alerts WHERE pipeline = 'gateway' AND sensor_id = 'n-hot'
QUERY
is(sql($node, <<'QUERY'), '1 1', 'one reading, and one in the rollups');
SELECT concat_ws(' ', (SELECT count(*) FROM factorymon.sensor_readings
		WHERE sensor_id = 'n-hot'),
	(SELECT sum(n) FROM factorymon.readings_1m WHERE sensor_id = 'n-hot'))
QUERY

# --- by sensor and time -------------------------------------------------------------------
sub city
{
	my ($at, $city, $temperature) = @_;

	return sprintf '{"city":"%s","temperature":%d,"humidity":50,"status":"normal",'
	  . '"timestamp":%d}', $city, $temperature, $begin + $at;
}
create_pipeline($node, $broker, topic => 'cities', name => 'cities', format => 'city',
	deduplicate => 'sensor_time', consumer_group => 'cities');
ok(running($node, 4), 'readings without ids');
send_to('cities', 0, city(1, 'Recife', 20), city(2, 'Recife', 20), city(1, 'Recife', 21),
	city(1, 'Natal', 20), city(1, 'Natal', 20));
taken('cities', 'are known by sensor and time');
is(dropped('cities'), '0/2=0/0 0/4=0/3', 'whatever their values');
is(counts('cities'), '6 2 0', 'and the others are stored');
like(sql($node, "SELECT min(reading_id) FROM factorymon.duplicates WHERE pipeline = 'cities'"),
	qr/^\S+ \d{4}-\d\d-\d\dT[\d:.]+Z$/, 'an id is made of both');
verified('cities');

# --- slices of time, and what is forgotten -----------------------------------------------
create_pipeline($node, $broker, topic => 'short', name => 'short', format => 'reading',
	deduplicate => 'id', deduplicate_ttl => '8 seconds', consumer_group => 'short');
ok(running($node, 5), 'a short time to live');
my $started = now();
my $n = 0;
while (now() < $started + 6)
{
	send_to('short', 0, reading(1));
	$n++;
	poll_until($node, <<"QUERY", $n) or last;
SELECT messages + duplicates FROM factorymon.message_counters WHERE pipeline = 'short'
QUERY
}
is(counts('short'), '1 ' . ($n - 1) . ' 0', "$n times within its time: one reading");
ok(sql($node, <<'QUERY') >= 2, 'over an edge of slices');
SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE c.relname ~ '^reading_key_\d+_p'
	AND i.inhparent = (SELECT format('_factorymon.reading_key_%s', pipeline_id)::regclass
		FROM _factorymon.pipeline WHERE name = 'short')
QUERY
my $first = sql($node, "SELECT min(seen_at) FROM _factorymon.reading_key k "
	  . "JOIN _factorymon.pipeline USING (pipeline_id) WHERE name = 'short'");
ok(poll_until($node, "SELECT clock_timestamp() > '$first'::timestamptz + interval '8 seconds'",
		't'), 'its time is over');
send_to('short', 0, reading(1));
taken('short', 'once more');
is(counts('short'), '2 ' . ($n - 1) . ' 0', 'and it is new');
sql($node, "SELECT factorymon.alter_pipeline('short', deduplicate_ttl => '2 seconds')");
ok(poll_until($node, "SELECT _factorymon.drop_expired('short') > 0", 't'),
	'with less time, tables are dropped');
ok(poll_while('the end of all keys', sub {
			sql($node, "SELECT _factorymon.drop_expired('short')");
			sql($node, <<'QUERY') eq '0' }), 'all that held keys');
SELECT count(*) FROM _factorymon.reading_key JOIN _factorymon.pipeline USING (pipeline_id)
WHERE name = 'short'
QUERY
is(sql($node, "SELECT count(*) FROM factorymon.duplicates WHERE pipeline = 'short'"), 0,
	'nothing is left of keys and list');
sql($node, "SELECT factorymon.alter_pipeline('short', deduplicate => 'none')");
ok(poll_until($node, "SELECT deduplicate FROM factorymon.pipelines WHERE name = 'short'", 'none'),
	'without deduplication');
send_to('short', 0, reading(20), reading(20));
taken('short', 'everything');
is(counts('short'), '4 ' . ($n - 1) . ' 0', 'is stored');

# --- keys --------------------------------------------------------------------------
# SipHash-2-4 of 128 bits, from a program that gives the published vectors.
sql($node, <<'QUERY');
UPDATE _factorymon.pipeline SET deduplicate_secret = '00010203-0405-0607-0809-0a0b0c0d0e0f'
WHERE name = 'short';
SELECT factorymon.alter_pipeline('short', deduplicate => 'id', deduplicate_ttl => '1 hour');
QUERY
ok(poll_while('a key', sub {
			send_to('short', 0, reading(42), reading(42) =~ s/"id-42"/"4593afc4-17dd-4355-99ca-46c93b5abad3"/r);
			sql($node, <<'QUERY') eq 'ba5c34f6-5ff3-532f-dcab-3e957eafa3d2 c1e32ef2-9404-a745-36d0-776d85a31917' }),
SELECT string_agg(key::text, ' ' ORDER BY key) FROM _factorymon.reading_key
JOIN _factorymon.pipeline USING (pipeline_id) WHERE name = 'short'
QUERY
	'with it again, readings are known by the hash of their ids');
my ($rc, $out, $err) = $node->psql('factory',
	"SELECT factorymon.alter_pipeline('short', deduplicate => 'value')");
like($err, qr/unrecognized value for deduplicate: "value"/, 'no other words are taken');
($rc, $out, $err) = $node->psql('factory',
	"SELECT factorymon.alter_pipeline('short', deduplicate_ttl => '1 second')");
like($err, qr/deduplicate_ttl must be at least 2 seconds/, 'nor less time than that');

# --- whoever repeats something is alive -----------------------------------------------
sql($node, "ALTER SYSTEM SET factorymon.deadman = on");
sql($node, 'SELECT pg_reload_conf()');

sub live
{
	return sprintf '{"unique_reading_id":"live-%d","sensor_id":"live","sensor_type":'
	  . '"temperature","value":20,"timestamp":%d}', $_[0], time() - 10 + $_[0];
}
my $seen = 'SELECT max(w.last_seen_at) FROM _factorymon.watched_sensors() w '
  . "JOIN _factorymon.sensor s USING (sensor_id) WHERE s.name = 'live'";
my @live = map { live($_) } 1 .. 8;
send_to('readings', 0, @live);
ok(poll_until($node, "$seen AND w.last_seen_at IS NOT NULL", qr/\d/), 'a sensor is watched');
my $last = sql($node, $seen);
ok(poll_until($node, <<"QUERY", 't'), 'a later message that repeats its reading');
SELECT clock_timestamp() > '$last'::timestamptz + interval '3 seconds'
QUERY
send_to('readings', 0, $live[-1]);
taken('readings', 'is dropped');
is(sql($node, "SELECT count(*) FROM factorymon.duplicates WHERE reading_id = 'live-8'"), 1,
	'as a duplicate');
ok(poll_until($node, "SELECT ($seen) > '$last'::timestamptz + interval '2 seconds'", 't'),
	'but the sensor was seen');

# --- a dump -----------------------------------------------------------------------------
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('factory') ],
	'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-1', '-d', $node->connstr('copy'), $dump ],
	'is restored in one transaction');
is($node->safe_psql('copy', <<'QUERY'), $node->safe_psql('factory', <<'QUERY'), 'with keys');
SELECT md5(string_agg(k::text, ',' ORDER BY key)) FROM _factorymon.reading_key k
QUERY
SELECT md5(string_agg(k::text, ',' ORDER BY key)) FROM _factorymon.reading_key k
QUERY
done_testing();
