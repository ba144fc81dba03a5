
# A NOTIFY that fails delays nothing: Kafka gets the events all the same, it is
# said once, and listeners hear again when it works again.
#
# What fails is the commit, as it does where the queue of notifications is full.
# That cannot be had before PostgreSQL 17 (the queue holds 8 GB), so here it is
# the files of the queue that nobody can write: commits fail as soon as what is
# kept of it in memory is full.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonAlerts;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my $broker = start_broker(topics => [ 'sensor-data:1', 'alerts:1' ]);
my $node = new_node();
my $queue = $node->data_dir . '/pg_notify';
my $pending = 'SELECT pending FROM factorymon.publisher_health';
my $failures = q{SELECT count(*) FROM factorymon.rebalancing_events
	WHERE event = 'notify_failed'};
my ($in, $out) = ('', '');
my $listener;

# Something that goes out, once Kafka has it; returns its number.
sub event
{
	my ($query, $name) = @_;
	my $number = sql($node, 'SELECT coalesce(max(pub_seq), 0) + 1
		FROM factorymon.alert_outbox');

	sql($node, "SELECT factorymon.$query");
	ok(poll_until($node, "SELECT state FROM factorymon.alert_outbox
		WHERE pub_seq = $number", 'delivered'), $name);
	return $number;
}

# Has the listener heard of this number?  It is asked until it has, or once.
sub heard
{
	my ($number, $wait) = @_;

	foreach my $look (1 .. ($wait ? 600 : 1))
	{
		$in .= "SELECT 'look $number $look';\n";
		$listener->pump until $out =~ /look $number $look\n/;
		return 1 if $out =~ /"pub_seq":$number,/;
		select(undef, undef, undef, 0.1) if $wait;
	}
	return 0;
}

# Nobody can write the queue, and what memory has for it is full: first of pages,
# then the last one.  (Far fewer than one file holds: files that are not needed
# any more are removed after a commit, where nothing must fail.)
sub break_queue
{
	chmod 0, $queue or die "could not change the mode of $queue: $!";
	foreach my $length (7500, 1000, 100, 0)
	{
		my $taken = 0;

		while ($node->psql('factory',
				"SELECT pg_notify('nobody', repeat('x', $length))",
				stderr => \my $error) == 0)
		{
			die "notifications of $length bytes are taken" if ++$taken > 20;
		}
	}
	return;
}

sub mend_queue
{
	chmod 0700, $queue or die "could not change the mode of $queue: $!";
	return;
}

# (its name is in what listeners are told)
create_pipeline($node, $broker, name => 'line "1" \\ north',
	options => quick_options());
ok(running($node, 1), 'the partition runs');
ok(poll_until($node, 'SELECT state FROM factorymon.publisher_health',
		'running'), 'and the publisher');
$listener = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('factory') ],
	'<', \$in, '>', \$out, '2>&1');
$in .= "LISTEN factorymon_alerts; SELECT 'listening';\n";
$listener->pump until $out =~ /listening/;
sql($node, q{INSERT INTO factorymon.threshold
	(sensor_type, sensor_id, critical_high) VALUES ('temperature', 'hot', -50)});
is(run_producer(kafka => $broker, count => 1, heartbeat => 0, sensor_id => 'hot',
		sensor_type => 'temperature', seed => 7)->{rc}, 0, 'a reading');
ok(poll_until($node, "SELECT count(*) FROM factorymon.alert_outbox
	WHERE state = 'delivered'", 1), 'its alarm is delivered');
is(sql($node, q{SELECT attempts, attempted_at = delivered_at, last_error IS NULL,
		delivered_at BETWEEN numbered_at AND now()
	FROM _factorymon.delivery JOIN _factorymon.publication
		USING (pipeline_id, pub_seq)}), '1|t|t|t', 'at the first try');
ok(heard(1, 1), 'and heard of');

# a row of failures
my $id = sql($node, 'SELECT event_id FROM factorymon.alerts');
my $notified = sql($node, 'SELECT notified FROM factorymon.publisher_health');
break_queue();
my @unheard = (event("acknowledge('$id', 'seen')",
		'Kafka gets what nobody could be told of'));
ok(poll_until($node, $failures, 1), 'which is an event');
like(sql($node, q{SELECT reason FROM factorymon.rebalancing_events
	WHERE event = 'notify_failed'}), qr/could not access status/,
	'that says why');
push @unheard, event("comment('$id', 'again')", 'and what comes next');
push @unheard, event("suppress('hot', 'meanwhile')", 'and so on');
is(run_producer(kafka => $broker, count => 10, rate => 0, heartbeat => 0,
		sensor_id => 'hot', sensor_type => 'temperature', seed => 8)->{rc}, 0,
	'readings');
ok(caught_up($node, 11), 'are stored');
is(sql($node, $failures), 1, 'a row of failures is one event');
is(sql($node, $pending), 0, 'and nothing waits');
is(sql($node, 'SELECT notified FROM factorymon.publisher_health'), $notified,
	'nor is called told');

# and its end
mend_queue();
my $number = event("unsuppress('hot')", 'after that');
ok(heard($number, 1), 'listeners hear again');
is(scalar(grep { heard($_, 0) } @unheard), 0, 'of what comes from then on');
is(sql($node, $failures), 1, 'without another event');
is(alerts_are_in_order($node, $broker, 'through it all'), $number,
	'Kafka has every number');

# what listeners are told, to the byte
my @told = $out =~ /"factorymon_alerts" with payload "(\{.*?\})" received/g;
my @numbers = map { /"pub_seq":(\d+),/ } @told;
cmp_ok(scalar(@told), '>=', 2, 'listeners heard something');
is(join("\n", @told), sql($node, q{SELECT row_to_json(m) FROM (
	SELECT p.name AS pipeline, pub_seq, event_id, alarm_id, transition,
		severity, announced
	FROM _factorymon.publication JOIN _factorymon.pipeline p
		USING (pipeline_id)
	WHERE pub_seq IN (} . join(', ', @numbers) . q{)
	ORDER BY pub_seq) m}), 'what their rows say');

# another row, where memory has room for few pages, as few files do
if ($node->pg_version < 17)
{
	break_queue();
	event("suppress('hot', 'once more')", 'it fails again');
	ok(poll_until($node, $failures, 2), 'which is another event');
	mend_queue();
}

$listener->kill_kill;
$node->stop;
done_testing();
