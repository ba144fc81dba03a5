
# try_limits(): what other limits would have made of the stored readings.  The
# expected alarms were worked out by hand from the list of readings below.

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

# The last time that it was nine o'clock two hours ago: then the time of day adds
# nothing to what is simulated.
my $start = int((time - 7200 - 32400) / 86400) * 86400 + 32400;

# Seconds after the start, and about which value (within 2 of it).
my @readings = (
	[ 0, 20 ], [ 10, 52 ], [ 20, 52 ], [ 30, 47 ], [ 40, 52 ], [ 50, 20 ],
	[ 60, 62 ], [ 70, 62 ], [ 80, 20 ], [ 90, 20 ], [ 100, 52 ], [ 110, 20 ],
	[ 85, 99 ],    # late: in no alarm
	[ 120, -20 ], [ 130, 20 ], [ 140, 52 ]);

sub reading
{
	my ($sensor, $at, $value) = @_;

	return run_producer(kafka => $broker, count => 1, heartbeat => 0,
		sensor_id => $sensor, sensor_type => 'temperature', seed => 7,
		machine_id => 'press', zone => 'north', anomalies => 'none',
		base_value => $value, start => '@' . ($start + $at))->{rc} == 0;
}

# What comes of a call: source, raised, returned, duration, level, side, readings.
sub tried
{
	my ($arguments, $where) = @_;

	$where //= 'true';
	return sql($node, <<"QUERY");
SELECT concat_ws(' ', source, extract(epoch FROM raised_at)::bigint - $start,
	coalesce((extract(epoch FROM returned_at)::bigint - $start)::text, '-'),
	coalesce(extract(epoch FROM duration)::bigint::text, '-'), level, side,
	readings)
FROM factorymon.try_limits($arguments) t WHERE $where
ORDER BY source DESC, raised_at
QUERY
}

sub error
{
	my ($role, $query) = @_;
	my $err;

	$node->psql('factory', "SET ROLE $role; $query", stderr => \$err,
		extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	return $err =~ /ERROR:\s+(\w+)/ ? $1 : 'none';
}

create_pipeline($node, $broker, options => quick_options());
ok(running($node, 2), 'every partition runs');
sql($node, <<'QUERY');
CREATE ROLE reader;
SELECT factorymon.grant_access('reader', 'reader');
CREATE ROLE nobody;
INSERT INTO factorymon.threshold (sensor_type, critical_low, warning_high, critical_high)
VALUES ('temperature', 0, 50, 60);
QUERY
is(scalar(grep { reading('one', @$_) } @readings), scalar @readings,
	'readings are sent');
ok(poll_until($node, 'SELECT count(*) FROM factorymon.sensor_readings',
		scalar @readings), 'and stored');

my $range = sprintf q{"from" => to_timestamp(%d), "to" => to_timestamp(%d)},
	$start, $start + 1000;
my $one = "'one', $range";

# by the limits as they are: what would be is what was
my $as_it_was = <<"END";
10 30 20 warning high 2
40 50 10 warning high 1
60 80 20 critical high 2
100 110 10 warning high 1
120 130 10 critical low 1
140 - - warning high 1
END
chomp $as_it_was;
is(tried($one), join("\n", map { my $source = $_;
			map { "$source $_" } split /\n/, $as_it_was } 'was', 'tried'),
	'the same limits give the same alarms');

# a deadband holds the alarm at 47
is(tried("$one, deadband => 5", "source = 'tried'"), <<"END" =~ s/\n\z//r, 'deadband');
tried 10 50 40 warning high 4
tried 60 80 20 critical high 2
tried 100 110 10 warning high 1
tried 120 130 10 critical low 1
tried 140 - - warning high 1
END

# what lasts less than ten seconds is none
is(tried("$one, on_delay => interval '10 s'", "source = 'tried'"),
	<<"END" =~ s/\n\z//r, 'on-delay');
tried 20 30 10 warning high 1
tried 70 80 10 critical high 1
END

# a return that does not last ten seconds is none
is(tried("$one, off_delay => interval '10 s'", "source = 'tried'"),
	<<"END" =~ s/\n\z//r, 'off-delay');
tried 10 90 80 critical high 8
tried 100 120 20 warning high 2
tried 120 140 20 critical low 2
tried 140 - - warning high 1
END

# limits: another one, and none
is(tried("$one, warning_high => 55, critical_low => 'NaN'", "source = 'tried'"),
	'tried 60 80 20 critical high 2', 'limits');
is(tried("$one, critical_high => 'NaN'", "source = 'tried' AND level = 'critical'"),
	'tried 120 130 10 critical low 1', 'one that is taken away');

# a part of the time: what touches it
is(tried(sprintf q{'one', "from" => to_timestamp(%d), "to" => to_timestamp(%d)},
		$start + 65, $start + 105), <<"END" =~ s/\n\z//r, 'a part');
was 60 80 20 critical high 2
was 100 - - warning high 1
tried 60 80 20 critical high 2
tried 100 - - warning high 1
END

# all sensors of a type, each in its own partition
ok(reading('two', 30, 70), 'another sensor');
ok(poll_until($node, 'SELECT count(*) FROM factorymon.sensor_readings',
		1 + @readings), 'is stored, too');
is(sql($node, <<"QUERY"), "one tried 2\none was 6\ntwo was 1", 'a type');
SELECT concat_ws(' ', sensor, source, count(*))
FROM factorymon.try_limits(sensor_type => 'temperature', $range,
	on_delay => interval '10 s')
GROUP BY sensor, source ORDER BY 1
QUERY

# nonsense, and who may
is(error('reader', "SELECT factorymon.try_limits('one', $range)"), 'none',
	'readers may try');
is(error('nobody', "SELECT factorymon.try_limits('one', $range)"), '42501',
	'others may not');
is(error('reader', "SELECT factorymon.try_limits('one', warning_high => 70)"),
	'22023', 'limits out of order');
is(error('reader', "SELECT factorymon.try_limits('one', deadband => 11)"),
	'22023', 'a deadband wider than the distance of limits');
is(error('reader', "SELECT factorymon.try_limits('one', on_delay => '-1 s')"),
	'22023', 'a negative delay');
is(error('reader', "SELECT factorymon.try_limits('three')"), '42704',
	'no such sensor');
is(error('reader', 'SELECT factorymon.try_limits()'), '22023', 'none at all');
is(error('reader', "SELECT factorymon.try_limits(sensor_type => 'temperature',"
		. ' max_sensors => 1)'), '54000', 'more sensors than meant');
is(error('reader', 'BEGIN READ ONLY; '
		. "SELECT factorymon.try_limits('one', $range)"), 'none',
	'nothing is written');

$node->stop;
done_testing();
