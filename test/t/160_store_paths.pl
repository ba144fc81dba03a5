
# The two ways into the table: past the executor where it is what the extension
# made of it, through the executor as soon as somebody has added something that
# only the executor honours; worker_status() tells which and why, and the rows
# are the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:2']);
my $node = new_node();
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';
my $seed = 71;

create_pipeline($node, $broker, options => quick_options());
ok(running($node, 2), 'every partition runs');

# Produce until it goes that way; a setting takes effect between two batches.
sub goes
{
	my ($path, $name, %opt) = @_;

	ok( poll_while(
			"readings to go $path",
			sub {
				run_producer(
					kafka => $broker, sensors => 10, rate => 0, count => 100,
					extra => 0.1, heartbeat => 0, seed => $seed++,
					truth => $truth, %opt);
				my $total = () = lines_of($truth);

				caught_up($node, $total) or die "$name: not all is stored";
				return sql($node, <<'QUERY') eq $path;
SELECT store_path FROM factorymon.worker_status()
QUERY
			}),
		"$name: $path");
	return;
}

goes('direct', 'as it was made');
my $leaf = sql($node, <<'QUERY');
SELECT tableoid::regclass FROM _factorymon.reading_1
ORDER BY kafka_offset DESC LIMIT 1
QUERY

# what is added, on what, its objection, and how it goes away
my @additions = (
	[ 'a trigger on the table',
		'CREATE TRIGGER t BEFORE INSERT ON _factorymon.reading_1
			FOR EACH ROW EXECUTE FUNCTION public.nothing()',
		'a trigger', 'DROP TRIGGER t ON _factorymon.reading_1' ],
	[ 'a trigger on a partition',
		"CREATE TRIGGER t AFTER INSERT ON $leaf
			FOR EACH ROW EXECUTE FUNCTION public.nothing()",
		'a trigger', "DROP TRIGGER t ON $leaf" ],
	[ 'a check constraint',
		'ALTER TABLE _factorymon.reading_1 ADD CONSTRAINT c CHECK (value < 1e9)',
		'a check constraint',
		'ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT c' ],
	[ 'a check constraint of a partition',
		"ALTER TABLE $leaf ADD CONSTRAINT c CHECK (value < 1e9)",
		'a check constraint', "ALTER TABLE $leaf DROP CONSTRAINT c" ],
	[ 'a column that must not be null',
		"ALTER TABLE $leaf ALTER quality SET NOT NULL",
		'other columns', "ALTER TABLE $leaf ALTER quality DROP NOT NULL" ],
	[ 'a rule',
		'CREATE RULE r AS ON INSERT TO _factorymon.reading_1
			WHERE false DO INSTEAD NOTHING',
		'a rule', 'DROP RULE r ON _factorymon.reading_1' ],
	[ 'a unique index',
		"CREATE UNIQUE INDEX u ON $leaf (stream_id, kafka_offset, reading_index)",
		'a unique index or exclusion constraint', 'DROP INDEX _factorymon.u' ],
	[ 'a partial index',
		'CREATE INDEX u ON _factorymon.reading_1 (ts) WHERE value > 10',
		'an index on expressions or on part of the rows',
		'DROP INDEX _factorymon.u' ],
	[ 'the setting',
		"ALTER SYSTEM SET factorymon.direct_insert = off",
		'factorymon.direct_insert',
		'ALTER SYSTEM RESET factorymon.direct_insert' ]);

sql($node, <<'QUERY');
CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEW;
END $$
QUERY
foreach my $addition (@additions)
{
	my ($what, $add, $objection, $remove) = @$addition;

	sql($node, $add);
	$node->reload;
	goes("executor: $objection", $what);
	sql($node, $remove);
	$node->reload;
}

# An index like our own is inserted into, by either way.
sql($node, 'CREATE INDEX by_value ON _factorymon.reading_1 USING brin (ts)');
sql($node, "CREATE INDEX by_stream ON $leaf USING hash (stream_id)");
goes('direct', 'more plain indexes');
is(sql($node, <<"QUERY"), 't', 'which find every row');
SET enable_seqscan = off;
SELECT sum(n) = (SELECT count(*) FROM $leaf)
FROM _factorymon.stream s, LATERAL (SELECT count(*) AS n FROM $leaf
	WHERE stream_id = s.stream_id) c
QUERY

# Rows of several partitions in one batch; among them one that must be made.
goes('direct', 'older partitions', start => '2026-01-01T00:00:00Z',
	record_time => 'event', count => 400);
cmp_ok(sql($node, 'SELECT count(DISTINCT tableoid) FROM _factorymon.reading_1'),
	'>', 1, 'there are several partitions');

is_exact($node, [$truth]);

sql($node, q{SELECT factorymon.drop_pipeline('sensor-data')});
is(sql($node, <<'QUERY'), '0 0 0', 'a dropped pipeline leaves no sensor behind');
SELECT concat_ws(' ', (SELECT count(*) FROM _factorymon.sensor),
	(SELECT count(*) FROM _factorymon.sensor_version),
	(SELECT count(*) FROM _factorymon.fold_chunk))
QUERY
$node->stop;
done_testing();
