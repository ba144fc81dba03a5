
# FactorymonArchive - a plant with some hours of readings, three days ago, that
# are to become history files

package FactorymonArchive;

use strict;
use warnings;

use Exporter 'import';
use FactorymonCheck;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(archive_folder archive_plant archive_sum archive_total
  archive_turn produce_history put_file);

my $FOLDER;

# Name of the pipeline: with characters that no file name has as they are.
our $NAME = 'plant / ä';

# A folder for history files, and what a server needs to know of it.
sub archive_folder
{
	$FOLDER //= PostgreSQL::Test::Utils::tempdir() . '/archive';
	mkdir $FOLDER unless -d $FOLDER;
	return $FOLDER;
}

# Readings of ten sensors, a minute apart, from a time on.
sub produce_history
{
	my ($broker, %opt) = @_;

	run_producer(kafka => $broker, sensors => 10, rate => 0, count => 4000,
		extra => 0.1, heartbeat => 0, seed => 7, sampling_interval => 60, %opt);
	return;
}

# ($node, $broker): 4,000 readings are stored, in partitions of an hour, and
# nobody waits for more of that time: the clocks of all partitions went on.
sub archive_plant
{
	my (%opt) = @_;
	my $folder = archive_folder();
	my $broker = start_broker(topics => [ 'sensor-data:2', 'days:1' ]);
	my $node = new_node(conf => "factorymon.archive_directory = '$folder'\n"
		  . "factorymon.snapshot_interval = '200ms'\n"
		  . "factorymon.restart_delay_min = '100ms'\n"
		  . "factorymon.restart_delay_max = '1s'\n" . ($opt{conf} // ''));

	create_pipeline($node, $broker, options => quick_options(), name => $NAME,
		accept_past => '10 days', partition_interval => '1 hour');
	produce_history($broker, start => sql($node,
		q{SELECT to_char(date_trunc('hour', now() - interval '3 days')
		AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')}));
	produce_history($broker, count => 40, sampling_interval => 1);
	poll_until($node, 'SELECT count(*) FROM _factorymon.reading', 4040)
	  or die 'the plant did not come about';
	return ($node, $broker);
}

# How many readings of then there are.
sub archive_total
{
	my ($node) = @_;

	return sql($node, q{SELECT count(*) FROM _factorymon.reading
		WHERE ts < now() - interval '2 days'});
}

# Every column of all of them.
sub archive_sum
{
	my ($node) = @_;

	return sql($node, q{SELECT md5(string_agg(r::text, '|'
		ORDER BY stream_id, kafka_offset, reading_index))
		FROM _factorymon.reading r WHERE ts < now() - interval '2 days'});
}

# What the supervisor does every minute, at once: drop what may go, and (a changed
# setting wakes it) have written what is due.
sub archive_turn
{
	my ($node) = @_;

	$node->psql('factory', "SELECT _factorymon.drop_expired('$NAME')");
	sql($node, "SELECT factorymon.set_archive('$NAME', true)");
	return;
}

sub put_file
{
	my ($path, $text) = @_;

	open my $file, '>:raw', $path or die "$path: $!";
	print $file $text;
	close $file or die "$path: $!";
	return;
}

1;
