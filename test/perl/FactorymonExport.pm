# FactorymonExport.pm: the export client in tests.
#
#	use FactorymonExport;
#
#	my $plant = new_export_plant($broker);
#	my $result = export($plant, 'alarms', '--on', '2026-11-22', -o => $file);
#	my @rows = csv_rows($file);
#	my ($sheets, @rows) = xlsx_rows($file);
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonExport;

use strict;
use warnings;

use Exporter 'import';
use FactorymonTest;
use IPC::Run ();
use JSON::PP ();
use Test::More;

our @EXPORT = qw(add_days csv_rows export export_program export_url
  insert_readings start_export watcher xlsx_counts xlsx_rows);

sub export_program
{
	my $program =
	  ($ENV{FACTORYMON_EXPORT_DIR} || FactorymonTest::repo_path('export'))
	  . '/factorymon-export';

	BAIL_OUT("$program is missing: build it first (make export)")
	  unless -x $program;
	return $program;
}

# The role that exports: it may read, and nothing else.
sub watcher
{
	my ($node) = @_;

	sql($node, "CREATE ROLE watcher LOGIN; "
		  . "SELECT factorymon.grant_access('reader', 'watcher')");
	return;
}

sub export_url
{
	my ($node, $role) = @_;

	return join ' ', 'host=' . $node->host, 'port=' . $node->port,
	  'dbname=factory', 'user=' . ($role // 'watcher');
}

# export($node, @arguments): { rc, stdout, stderr, seconds }
#
# start_export($node, @arguments): the process
sub export
{
	my ($node, @arguments) = @_;

	return start_export($node, @arguments)->wait(300);
}

sub start_export
{
	my ($node, @arguments) = @_;

	# PostgreSQL's modules give all sessions of a test a name
	delete local $ENV{PGAPPNAME};
	return FactorymonTest::Process->start([ export_program(), @arguments ],
		name => 'export', env => { DATABASE_URL => export_url($node) });
}

sub _read
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'python3', FactorymonTest::repo_path('test/spreadsheet'), @_ ],
		'>', \$out, '2>', \$err, IPC::Run::timeout(1800)) or die "spreadsheet: $err";
	return map { JSON::PP::decode_json($_) } split /\n/, $out;
}

# csv_rows($file [, $delimiter]): each an array of texts
sub csv_rows
{
	return map { $_->[1] } _read(@_);
}

# xlsx_rows($file): sheets by name, with their rows
#
# xlsx_counts($file): [ name, rows, first row, last row ] of each sheet
sub xlsx_rows
{
	my ($file) = @_;
	my %sheets;

	foreach my $thing (_read($file))
	{
		$sheets{ $thing->{name} } = { %$thing, rows => [] }
		  if ref $thing eq 'HASH';
		push @{ $sheets{ $thing->[0] }{rows} }, $thing->[1]
		  if ref $thing eq 'ARRAY';
	}
	return \%sheets;
}

sub xlsx_counts { return _read($_[0], '--count') }

# add_days($node, @days): storage of the pipeline "sensor-data" for these days
sub add_days
{
	my ($node, @days) = @_;

	sql($node, "SELECT _factorymon.ensure_partition('sensor-data', 'reading', "
		  . "timestamptz '$_ 00:00+00' + n * interval '1 hour') "
		  . 'FROM generate_series(0, 23) n') foreach @days;
	return;
}

# insert_readings($node, $sensors, $rows)
#
# What no pipeline would bring so quickly, or at all.  $sensors is a query of
# names; $rows one of ts, value and the sensor's name.
sub insert_readings
{
	my ($node, $sensors, $rows) = @_;

	sql($node, <<"QUERY");
INSERT INTO _factorymon.stream
	(stream_id, pipeline_id, topic, kafka_partition, incarnation)
SELECT 1000, pipeline_id, topic, 99, 1 FROM _factorymon.pipeline
WHERE name = 'sensor-data' ON CONFLICT DO NOTHING;
WITH s AS (
	INSERT INTO _factorymon.sensor (sensor_id, pipeline_id, name)
	SELECT 100000 + (SELECT count(*) FROM _factorymon.sensor)
			+ row_number() OVER (), p.pipeline_id, x.name
	FROM ($sensors) AS x (name), _factorymon.pipeline p
	WHERE p.name = 'sensor-data' RETURNING *)
INSERT INTO _factorymon.sensor_version (sensor_version_id, sensor_id,
	sensor_type, factory_section, machine_id, zone, unit)
SELECT sensor_id, sensor_id, 'odd', 'hall', 'machine-odd', 'zone-odd', '°C' FROM s;
INSERT INTO _factorymon.reading (ts, kafka_offset, value, sensor_id, stream_id,
	sensor_version_id, pipeline_id, reading_index, level, flags)
SELECT x.ts, row_number() OVER (), x.value, s.sensor_id, 1000, s.sensor_id,
	s.pipeline_id, 0, 0, 0
FROM ($rows) AS x (ts, value, name) JOIN _factorymon.sensor s USING (name);
QUERY
	return;
}

1;
