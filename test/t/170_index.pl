# The index of readings, filled a page at a time, while others read it, delete
# from it, clean it, build it anew and crash: it stays sound and complete, and a
# standby that replays it comes to the same pages, byte for byte.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $module = "$FindBin::RealBin/../modules/fold_test/fold_test";
BAIL_OUT("$module.so is missing: make -C test/modules/fold_test")
  unless -r "$module.so";

# Page images beside each record of a btree, compared after replay.
my $node = new_node(
	name => 'primary',
	init => { allows_streaming => 1 },
	conf => <<'CONF');
wal_consistency_checking = 'btree'
wal_keep_size = '8GB'
autovacuum_naptime = 1
autovacuum_vacuum_threshold = 100
autovacuum_vacuum_scale_factor = 0.01
autovacuum_vacuum_insert_threshold = -1
CONF

sql($node, <<"SQL");
CREATE EXTENSION amcheck;
CREATE SCHEMA test;
LOAD 'factorymon';
CREATE FUNCTION test.store_batch(pipeline_id smallint, seed int, readings int,
	sensors int, first timestamptz, instants int) RETURNS text
	AS '$module', 'store_batch' LANGUAGE C STRICT;
INSERT INTO _factorymon.pipeline (pipeline_id, name, server, topic,
	consumer_group, format, workers, start_policy, on_data_loss,
	accept_past, accept_future, partition_interval, owner)
VALUES (7, 'test', 'none', 'sensor-data', 'group', 'factory', 1, 'earliest',
	'stop', '10 years', '1 day', '1 day', current_user);
CREATE TABLE _factorymon.reading_7 PARTITION OF _factorymon.reading
	FOR VALUES IN (7) PARTITION BY RANGE (ts);
CREATE TABLE _factorymon.reading_7_a PARTITION OF _factorymon.reading_7
	FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE _factorymon.reading_7_b PARTITION OF _factorymon.reading_7
	FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
CREATE INDEX ON _factorymon.reading_7 (sensor_id, ts);
SQL

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

# Sessions of pgbench: batches with keys near and far, equal and not, one in
# ten rolled back to a savepoint; deletions and the reads that mark what they
# left; so many transactions a session.
my $folder = PostgreSQL::Test::Utils::tempdir();
my %scripts = (
	# equal keys: 40 sensors, 30 seconds
	'equal@3' => <<'SQL',
\set seed random(1, 1000000)
SELECT test.store_batch(7::smallint, :seed, 400, 40, '2026-01-01 23:59:45', 30);
SQL
	# all over both partitions
	'wide@4' => <<'SQL',
\set seed random(1, 1000000)
SELECT test.store_batch(7::smallint, :seed, 1000, 500, '2026-01-01', 172800);
SQL
	'undone@1' => <<'SQL',
\set seed random(1, 1000000)
BEGIN;
SAVEPOINT a;
SELECT test.store_batch(7::smallint, :seed, 1000, 500, '2026-01-01', 172800);
ROLLBACK TO a;
SELECT test.store_batch(7::smallint, :seed, 100, 500, '2026-01-01', 172800);
COMMIT;
SQL
	'delete@2' => <<'SQL',
\set sensor random(1, 500)
DELETE FROM _factorymon.reading_7 WHERE sensor_id BETWEEN :sensor AND :sensor + 9;
SQL
	'read@2' => <<'SQL');
\set sensor random(1, 500)
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*), sum(value) FROM _factorymon.reading_7
WHERE sensor_id BETWEEN :sensor AND :sensor + 20;
SQL

my @files;
for my $name (sort keys %scripts)
{
	my ($base, $weight) = split /@/, $name;

	PostgreSQL::Test::Utils::append_to_file("$folder/$base", $scripts{$name});
	push @files, '-f', "$folder/$base\@$weight";
}

sub start_sessions
{
	my ($transactions) = @_;
	my $out = '';
	my $handle = IPC::Run::start(
		[
			'pgbench', '-n', '-c', 4, '-t', $transactions, @files,
			'-h', $node->host, '-p', $node->port,
			$node->{factorymon_db}
		],
		'>', \$out, '2>&1');

	return { handle => $handle, out => \$out };
}

# Every index of readings: every level, and every row in it.
sub check_indexes
{
	my ($name) = @_;

	is( sql($node, <<'SQL'), 2, "$name: indexes are sound and complete");
SELECT count(bt_index_parent_check(indexrelid, true, true)::text)
FROM pg_index WHERE indrelid IN ('_factorymon.reading_7_a'::regclass,
	'_factorymon.reading_7_b'::regclass)
SQL
	return;
}

# While the sessions work: clean the indexes and build them anew.
sub disturb
{
	my ($sessions) = @_;
	my $rounds = 0;

	while ($sessions->{handle}->pumpable)
	{
		$sessions->{handle}->pump_nb;
		sql($node,
			'VACUUM (INDEX_CLEANUP on) _factorymon.reading_7_a, _factorymon.reading_7_b'
		);
		sql($node, 'REINDEX TABLE CONCURRENTLY _factorymon.reading_7_b')
		  if $rounds++ % 5 == 0;
	}
	return $rounds;
}

my $sessions = start_sessions(150);
cmp_ok(disturb($sessions), '>', 1, 'indexes are cleaned and built meanwhile');
ok($sessions->{handle}->finish, 'all transactions went well')
  or diag(${ $sessions->{out} });
check_indexes('at rest');

# what the sessions were meant to bring about
cmp_ok(
	sql($node, <<'SQL'), '>', 50000, 'there are many rows');
SELECT count(*) FROM _factorymon.reading_7
SQL
cmp_ok(
	sql($node, <<'SQL'), '>', 10, 'many of them with equal keys');
SELECT max(n) FROM (SELECT count(*) AS n FROM _factorymon.reading_7
	GROUP BY sensor_id, ts) AS t
SQL

# A crash in the middle: whatever was half done is finished or gone.
for my $round (1 .. 2)
{
	my $lsn = sql($node, 'SELECT pg_current_wal_lsn()');

	$sessions = start_sessions(1000);
	ok( poll_until($node, <<"SQL", 't'), "crash $round: sessions work");
SELECT pg_current_wal_lsn() - '$lsn'::pg_lsn > 100000000
SQL
	$node->stop('immediate');
	$sessions->{handle}->finish;
	ok($node->start(fail_ok => 1), "crash $round: recovers")
	  or BAIL_OUT("see the server's log");
	check_indexes("crash $round");
}

# The standby stops at a page that differs; this one has come to the end.
sql($node, 'CHECKPOINT');
$node->wait_for_catchup($standby);
$standby->{factorymon_db} = $node->{factorymon_db};
is(sql($standby, <<'SQL'), 2, 'standby: indexes are sound and complete');
SELECT count(bt_index_check(indexrelid, true)::text)
FROM pg_index WHERE indrelid IN ('_factorymon.reading_7_a'::regclass,
	'_factorymon.reading_7_b'::regclass)
SQL
my $rows = 'SELECT count(*), sum(value) FROM _factorymon.reading_7';
is(sql($standby, $rows), sql($node, $rows), 'standby: the same rows');
unlike(slurp_file($standby->logfile),
	qr/inconsistent page/, 'standby: the same pages');

$standby->stop;
$node->stop;
done_testing();
