# FactorymonPlant.pm: a small plant for tests of what shows it.
#
#	use FactorymonPlant;
#
#	my $node = new_plant($broker);
#
# A node with the pipeline sensor-data and 25 sensors on five machines: readings
# of half an hour that ends some minutes ago, and a current one of each sensor
# but those of machine-005, of which nothing is heard any more.  machine-002 and
# machine-004 are critical, the latter's alarm is acknowledged; machine-003 warns.
# The role "bi" may read and must give its password.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonPlant;

use strict;
use warnings;

use Exporter 'import';
use FactorymonCheck;
use FactorymonTest;
use Test::More;

our @EXPORT = qw(bi_environment bi_password new_plant);

# A dollar and a blank, which what expands variables or splits words would show.
my $password = 'bi 4 $all';

sub bi_password { return $password }

# bi_environment($node): how programs are told of the database and the role.
sub bi_environment
{
	my ($node) = @_;

	return {
		FACTORYMON_DB_HOST => $node->host,
		FACTORYMON_DB_PORT => $node->port,
		FACTORYMON_DB_NAME => 'factory',
		FACTORYMON_DB_USER => 'bi',
		FACTORYMON_DB_PASSWORD => $password
	};
}

sub _produce
{
	my ($broker, $name, @options) = @_;

	is(run_producer(kafka => $broker, sensor_id => 's', anomalies => 'none',
			seed => 7, heartbeat => 0, producer_id => 'plant', @options)->{rc},
		0, $name);
	return;
}

sub new_plant
{
	my ($broker) = @_;
	my $node = new_node();

	unlink $node->data_dir . '/pg_hba.conf';
	$node->append_conf('pg_hba.conf',
		"local all bi scram-sha-256\nlocal all all trust\n");
	$node->reload;
	create_pipeline($node, $broker, workers => 1, options => quick_options(),
		alert_topic => '');
	sql($node, <<"QUERY");
CREATE ROLE bi LOGIN PASSWORD '$password';
SELECT factorymon.grant_access('reader', 'bi');
INSERT INTO factorymon.threshold
	(sensor_type, machine_id, critical_high, warning_high)
VALUES ('temperature', 'machine-002', -50, NULL),
	('humidity', 'machine-003', NULL, -50),
	('temperature', 'machine-004', -50, NULL);
QUERY
	_produce($broker, 'half an hour of readings', sensors => 25, rate => 0,
		count => 9000, start => '@' . (time - 2400), record_time => 'event');
	_produce($broker, 'and current ones', sensors => 20, rate => 1000,
		count => 200);
	ok(caught_up($node, 9200), 'arrive');
	sql($node, <<'QUERY');
SELECT factorymon.acknowledge(announced_event_id)
FROM factorymon.alarms WHERE machine_id = 'machine-004'
QUERY
	is(sql($node, <<'QUERY'), 'machine-005|5|5', 'of one nothing is heard');
SELECT machine_id, sensors, sensors_missing
FROM factorymon.machine_status WHERE sensors_missing > 0
QUERY
	ok(poll_until($node, <<'QUERY', '1|2|3'),
SELECT (SELECT count(*) FROM factorymon.alarms
		WHERE state = 'active_acknowledged'),
	(SELECT count(*) FROM factorymon.alarms
		WHERE state = 'active_unacknowledged'),
	(SELECT sum(announcements) FROM factorymon.alarm_hours)
QUERY
		'three machines have an alarm, one is acknowledged, all are counted');
	return $node;
}

1;
