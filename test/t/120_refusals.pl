
# What the database refuses: one message is isolated and the rest goes on; a
# table that refuses everything pauses; circumstances are waited for, and
# nothing is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = start_broker(topics => ['sensor-data:2']);
my $node = new_node(conf => "factorymon.restart_delay_max = '2s'\n");
my $truth = PostgreSQL::Test::Utils::tempdir() . '/truth';
my $seed = 41;

create_pipeline($node, $broker, workers => 1, options => quick_options());
ok(running($node, 2), 'every partition runs');

# Produce and wait until all of it is accounted for.
sub produce
{
	my (%opt) = @_;
	my $run = run_producer(
		kafka => $broker, rate => 0, heartbeat => 0, seed => $seed++,
		anomalies => 'none', truth => $truth, %opt);

	is($run->{rc}, 0, 'the producer delivered everything');
	return;
}

sub all_there
{
	my ($what) = @_;
	my $total = () = lines_of($truth);

	ok(caught_up($node, $total), "$what: every message is accounted for");
	is_exact($node, [$truth], name => $what);
	return;
}

# --- one bad message among many --------------------------------------------
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_1 ADD CONSTRAINT believable CHECK (value < 900)
QUERY
produce(sensors => 20, count => 500);
produce(sensor_id => 'mad', base_value => 5000, warning_threshold => 6000,
	critical_threshold => 7000, count => 3);
produce(sensors => 20, count => 500);
all_there('a constraint');
is(sql($node, <<'QUERY'), '3 database 23514', 'what it refuses is a reject, with its SQLSTATE');
SELECT concat_ws(' ', count(*), min(reason), min(sqlstate)) FROM factorymon.rejects
QUERY
is(sql($node, <<'QUERY'), '1000', 'and nothing else is');
SELECT count(*) FROM factorymon.sensor_readings
QUERY

sql($node, 'ALTER TABLE _factorymon.reading_1 DROP CONSTRAINT believable');
is(sql($node, "SELECT * FROM factorymon.retry_rejects('sensor-data')"), '3|3|0',
	'after a fix the rejects are taken in');
all_there('after retry_rejects()');
levels_are_right($node, 'after retry_rejects()');

# --- errors that no row can be blamed for ----------------------------------
sql($node, <<'QUERY');
CREATE FUNCTION public.check_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.value > 4000 THEN
		RAISE EXCEPTION 'too late' USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON _factorymon.reading_1
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.check_late();
QUERY
produce(sensors => 20, count => 300);
produce(sensor_id => 'later', base_value => 5000, warning_threshold => 6000,
	critical_threshold => 7000, count => 2);
produce(sensors => 20, count => 300);
all_there('an error at commit');
is(sql($node, <<'QUERY'), '2 23000', 'the culprits are found by halving');
SELECT concat_ws(' ', count(*), min(sqlstate)) FROM factorymon.rejects
QUERY
sql($node, 'DROP TRIGGER late ON _factorymon.reading_1');

# --- an error that comes when all rows of the batch were pulled -------------
sql($node, <<'QUERY');
CREATE TRIGGER after_all AFTER INSERT ON _factorymon.reading_1
FOR EACH ROW EXECUTE FUNCTION public.check_late();
SELECT factorymon.pause('sensor-data');
QUERY
produce(sensors => 20, count => 1500);
produce(sensor_id => 'needle', base_value => 5000, warning_threshold => 6000,
	critical_threshold => 7000, count => 1);
produce(sensors => 20, count => 1500);
sql($node, "SELECT factorymon.resume('sensor-data')");
all_there('one bad message in a large batch');
is(sql($node, <<'QUERY'), 1, 'is found, and nobody else is blamed');
SELECT count(*) FROM factorymon.rejects WHERE value LIKE '%needle%'
	AND (SELECT count(*) FROM factorymon.rejects) = 3
QUERY
sql($node, 'DROP TRIGGER after_all ON _factorymon.reading_1');

# --- circumstances ----------------------------------------------------------
sql($node, <<'QUERY');
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'not today';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON _factorymon.reading_1
FOR EACH ROW EXECUTE FUNCTION public.refuse();
QUERY
my $before = sql($node, 'SELECT count(*) FROM factorymon.sensor_readings');
produce(sensors => 20, count => 200);
ok(poll_until($node, <<'QUERY', 't'), 'a trigger that fails is retried, visibly');
SELECT state = 'retrying' AND retries > 2 AND last_error = 'not today'
FROM factorymon.worker_status()
QUERY
is(sql($node, 'SELECT count(*) FROM factorymon.sensor_readings'), $before,
	'nothing is skipped meanwhile');
sql($node, 'DROP TRIGGER refuse ON _factorymon.reading_1');
all_there('when it is gone');

# --- a trigger that keeps rows out -----------------------------------------
sql($node, <<'QUERY');
CREATE FUNCTION public.keep_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN NEW.value > 4000 THEN NULL ELSE NEW END;
END $$;
CREATE TRIGGER keep_out BEFORE INSERT ON _factorymon.reading_1
FOR EACH ROW EXECUTE FUNCTION public.keep_out();
QUERY
my $kept = PostgreSQL::Test::Utils::tempdir() . '/kept-out';
produce(sensors => 20, count => 100);
produce(sensor_id => 'hidden', base_value => 5000, warning_threshold => 6000,
	critical_threshold => 7000, count => 4, truth => $kept);
produce(sensors => 20, count => 100);
ok(poll_until($node, 'SELECT suppressed FROM factorymon.message_counters', 4),
	'readings that a trigger keeps out are counted');
ok(lag_is_zero($node), 'lag reaches zero');
is_exact($node, [$truth], name => 'with a suppressing trigger');
sql($node, 'DROP TRIGGER keep_out ON _factorymon.reading_1');

# --- a table that refuses everything ----------------------------------------
sql($node, <<'QUERY');
DELETE FROM _factorymon.reject;
QUERY
$truth .= '-2';
sql($node, "SELECT factorymon.drop_pipeline('sensor-data')");
create_pipeline($node, undef, name => 'second', consumer_group => 'second',
	start => 'latest', workers => 1);
ok(running($node, 2), 'a second pipeline runs');
sql($node, <<'QUERY');
ALTER TABLE _factorymon.reading_2 ADD CONSTRAINT nothing CHECK (value IS NULL)
QUERY
produce(sensors => 10, count => 300);
ok(poll_until($node, 'SELECT NOT running FROM factorymon.pipelines', 't'),
	'a table that refuses everything pauses the pipeline');
like(sql($node, 'SELECT pause_reason FROM factorymon.pipelines'),
	qr/refused 1\d\d messages in a row with SQLSTATE 23514, constraint nothing/,
	'and the reason is plain');
sql($node, 'ALTER TABLE _factorymon.reading_2 DROP CONSTRAINT nothing');
sql($node, "SELECT factorymon.resume('second')");
my $total = () = lines_of($truth);
ok(caught_up($node, $total), 'after a fix it goes on');
sql($node, "SELECT factorymon.retry_rejects('second')");
is_exact($node, [$truth], pipeline => 'second', name => 'and nothing is lost');

# --- a flood of rejects ------------------------------------------------------
$node->append_conf('postgresql.conf', "factorymon.reject_limit = '1MB'\n");
$node->reload;
produce(sensors => 10, count => 60, malformed => 1, malformed_kinds => 'overlong');
ok(poll_until($node, 'SELECT NOT running FROM factorymon.pipelines', 't'),
	'a flood of rejects pauses the pipeline');
like(sql($node, 'SELECT pause_reason FROM factorymon.pipelines'),
	qr/more than 1 MB of rejects within an hour/, 'and says why');

$node->stop;
done_testing();
