
# Logs that are not what they were: records gone before they were read, topics
# deleted and made again under the same name, compacted, or not there yet; and
# seek().  Nothing is silent, the policy is obeyed, and what is claimed of each
# log is there once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use PostgreSQL::Test::Utils;
use Test::More;

my @lengths = ([ shorter => 30 ], [ equal => 100 ], [ longer => 170 ]);
my @running = map { "running-$_->[0]" } @lengths;
my @stopped = map { "stopped-$_->[0]" } @lengths;
my @topics = (@running, @stopped, qw(mixed single trimmed expired starts sought));
my $kafka = start_kafka(
	brokers => 1,
	default_topics => 0,
	topics => [ map { "$_:1:1" } @topics ]);
my $node = new_node(conf => <<'CONF');
factorymon.proof_interval = '1s'
factorymon.snapshot_interval = '1s'
factorymon.restart_delay_min = '200ms'
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $seed = 100;
my %log;    # which log of a topic this is: 1, 2, ...

create_server($node, $kafka,
	options => { 'session.timeout.ms' => 6000, 'fetch.wait.max.ms' => 20 });

# --- helpers ----------------------------------------------------------------

# Truth of one log of a topic; the present one, unless another is named.
sub truth
{
	my ($topic, $log) = @_;

	return "$dir/$topic-" . ($log // $log{$topic} // 1);
}

# Lines of truth with offsets in [$from, $to).
sub delivered
{
	my ($topic, $log, $from, $to) = @_;

	return grep {
		my $offset = (split)[1];
		$offset >= ($from // 0) && (!defined $to || $offset < $to)
	} lines_of(truth($topic, $log));
}

sub produce
{
	my ($topic, $count, %opt) = @_;
	my $run = run_producer(
		kafka => $kafka, topic => $topic, count => $count, rate => 0,
		sensors => 20, heartbeat => 0, malformed => 0.02, seed => $seed++,
		truth => truth($topic), %opt);

	die "the producer failed: $run->{stderr}" unless $run->{rc} eq '0';
	return;
}

# The topic becomes another log, with that many messages.
sub replace
{
	my ($topic, $count) = @_;

	$kafka->recreate_topic($topic, 1, 1);
	$log{$topic} = ($log{$topic} // 1) + 1;
	produce($topic, $count);
	return;
}

sub pipeline
{
	my ($name, $topic, %opt) = @_;

	create_pipeline($node, undef, topic => $topic, name => $name,
		consumer_group => $name, %opt);
	return;
}

# Two pipelines of a topic: NAME-stop and NAME-go, by their policies.
sub both_policies
{
	my ($topic, %opt) = @_;

	pipeline("$topic-stop", $topic, on_data_loss => 'stop', %opt);
	pipeline("$topic-go", $topic, on_data_loss => 'continue', %opt);
	return;
}

# Wait until so many messages of an incarnation are accounted for.
sub accounted
{
	my ($pipeline, $incarnation, $count, $name) = @_;

	return ok(poll_until($node, <<"QUERY", $count), $name);
SELECT coalesce(sum(messages + rejected + other), 0) FROM factorymon.ledger
WHERE pipeline = '$pipeline' AND incarnation = $incarnation
QUERY
}

sub state_is
{
	my ($pipeline, $state, $name) = @_;

	return ok(poll_until($node, <<"QUERY", $state), $name);
SELECT state FROM factorymon.partition_status() WHERE pipeline = '$pipeline'
QUERY
}

sub detail_of
{
	my ($pipeline) = @_;

	return sql($node, <<"QUERY");
SELECT state_detail FROM factorymon.partition_status()
WHERE pipeline = '$pipeline'
QUERY
}

# "kind from to" of what the ledger holds besides extents, in order.
sub losses
{
	my ($pipeline) = @_;

	return sql($node, <<"QUERY");
SELECT coalesce(string_agg(concat_ws(' ', kind, from_offset, to_offset), ', '
	ORDER BY incarnation, from_offset), '')
FROM factorymon.ledger WHERE pipeline = '$pipeline' AND kind <> 'extent'
QUERY
}

# One test: an incarnation holds these messages, each once, as they were.
sub holds
{
	my ($pipeline, $incarnation, $lines, $name) = @_;
	my $rows = sql($node, <<"QUERY");
SELECT concat_ws(E'\\t', kafka_partition, kafka_offset, 'reading', message)
FROM factorymon.original_messages('$pipeline')
WHERE incarnation = $incarnation
UNION ALL
SELECT concat_ws(E'\\t', kafka_partition, kafka_offset, 'malformed',
	encode(value, 'hex'))
FROM factorymon.rejects
WHERE pipeline = '$pipeline' AND incarnation = $incarnation
QUERY
	my $digest = run_program([ require_program('factorymon-digest') ],
		name => 'digest', stdin => $rows eq '' ? '' : "$rows\n");
	my @got = sort split /\n/, $digest->{stdout};

	return is_deeply(\@got, [ sort @$lines ], $name);
}

sub verified
{
	my ($pipeline, $name) = @_;

	return is(sql($node, "SELECT * FROM factorymon.verify_delivery('$pipeline')"),
		'', "$name: verify_delivery() finds nothing");
}

# A statement has to fail, with this message.
sub refused
{
	my ($query, $message, $name) = @_;
	my ($out, $err);
	my $rc = $node->psql('factory', $query, stdout => \$out, stderr => \$err);

	return ok($rc != 0 && $err =~ $message, $name) || diag $err;
}

# Both pipelines of the topic are to find out that the log is another one, and
# what the old and the new one delivered is to be where it belongs.  The new
# one was read up to $unawares before that.
sub another_log
{
	my ($topic, $old_count, $count, $what, $unawares) = @_;
	my ($stop, $go) = ("$topic-stop", "$topic-go");

	state_is($stop, 'stopped', "$what: policy stop stops");
	like(detail_of($stop), qr/another log/, "$what: and says why");
	unlike(events($node, "pipeline = '$stop'"), qr/incarnation/,
		"$what: nothing of it is read");
	refused("SELECT factorymon.seek('$stop', 0, 'latest')",
		qr/found another log/, "$what: nor can its offsets be sought");
	sql($node, "SELECT factorymon.resume('$stop')");

	foreach my $pipeline ($stop, $go)
	{
		my $name = "$what, $pipeline";

		accounted($pipeline, 2, $count, "$name: all of the new log is read");
		state_is($pipeline, 'running', "$name: and it runs");
		like(events($node, "pipeline = '$pipeline'"),
			qr/suspect.*incarnation/, "$name: events tell");
		my ($from, $to) = losses($pipeline) =~ /^suspect (\d+).* (\d+)$/;
		ok(defined $from && $from <= $old_count,
			"$name: so does the ledger (suspect $from to $to)");
		is($to, $unawares, "$name: all that was read unawares is suspect")
		  if defined $unawares;
		holds($pipeline, 2, [ delivered($topic) ],
			"$name: what the new log delivered is stored once");
		verified($pipeline, $name);
		sql($node, "SELECT factorymon.purge_suspect('$pipeline', NULL)");
		unlike(losses($pipeline), qr/suspect/, "$name: what is suspect can go");
		holds($pipeline, 1, [ delivered($topic, 1, 0, $from) ],
			"$name: what is proven of the old log stays");
		verified($pipeline, "$name, purged");
	}
	return;
}

# --- where a pipeline starts ------------------------------------------------

produce('starts', 30);
my $between = sql($node, 'SELECT clock_timestamp()');
produce('starts', 20);
pipeline('from-earliest', 'starts', start => 'earliest');
pipeline('from-latest', 'starts', start => 'latest');
pipeline('from-time', 'starts', start => 'timestamp', start_at => $between);
pipeline('from-future', 'starts', start => 'timestamp',
	start_at => \"now() + interval '1 day'");
pipeline('not-yet', 'missing');

both_policies($_) foreach @running, @stopped, qw(trimmed expired);
pipeline('sought', 'sought');
produce($_, 60) foreach @running, @stopped, qw(trimmed expired sought);

ok(running($node, 4 + 2 * (@running + @stopped + 2) + 1),
	'every partition runs');
produce('starts', 10);
foreach my $case ([ earliest => 0 ], [ time => 30 ], [ latest => 50 ],
	[ future => 50 ])
{
	my ($start, $offset) = @$case;

	accounted("from-$start", 1, 60 - $offset, "start at $start");
	holds("from-$start", 1, [ delivered('starts', 1, $offset) ],
		"start at $start: the right ones");
	sql($node, "SELECT factorymon.drop_pipeline('from-$start')");
}

# --- a topic that is not there yet ------------------------------------------

ok(poll_until($node, <<'QUERY', qr/missing.*(unknown|not exist)|(unknown|not exist).*missing/i),
SELECT last_error FROM factorymon.worker_status() WHERE pipeline = 'not-yet'
QUERY
	'a topic that does not exist is an error that can be seen');
$kafka->create_topic('missing', 1, 1);
produce('missing', 25);
accounted('not-yet', 1, 25, 'once it is there it is read');
is_exact($node, [ truth('missing') ], pipeline => 'not-yet',
	name => 'a topic created later');
sql($node, "SELECT factorymon.drop_pipeline('not-yet')");

# --- messages of the second batch are behind an anchor ----------------------

foreach my $topic (@running, @stopped, qw(trimmed expired))
{
	accounted("$topic-$_", 1, 60, "$topic-$_ reads") foreach qw(stop go);
	produce($topic, 40);
}
foreach my $topic (@running, @stopped, qw(trimmed expired))
{
	accounted("$topic-$_", 1, 100, "$topic-$_ reads on") foreach qw(stop go);
}

# --- another log while the worker runs --------------------------------------

# One is gone for a while, the others for a moment.
$kafka->delete_topic('running-shorter');
ok(poll_until($node, <<'QUERY', 2), 'a deleted topic is an error that can be seen');
SELECT count(*) FROM factorymon.worker_status() w
LEFT JOIN factorymon.partition_status() p USING (pipeline)
WHERE pipeline ~ '^running-shorter' AND concat(w.last_error, p.last_error)
	~* 'unknown|not exist|not available'
QUERY
$kafka->create_topic('running-shorter', 1, 1);
$log{'running-shorter'} = 2;
produce('running-shorter', 30);
replace('running-equal', 100);
replace('running-longer', 170);
another_log("running-$_->[0]", 100, $_->[1], "$_->[0], running")
  foreach @lengths;
foreach my $topic (@running)
{
	sql($node, "SELECT factorymon.drop_pipeline('$topic-$_')")
	  foreach qw(stop go);
}

# --- records deleted while the pipeline is paused ---------------------------

sql($node, "SELECT factorymon.pause('trimmed-stop')");
sql($node, "SELECT factorymon.pause('trimmed-go', 0)");
state_is("trimmed-$_", 'paused', "trimmed-$_ is paused") foreach qw(stop go);
produce('trimmed', 100);
$kafka->delete_records('trimmed', 0, 150);
sql($node, "SELECT factorymon.resume('trimmed-stop')");
sql($node, "SELECT factorymon.resume('trimmed-go', 0)");

# Both pipelines of the topic are to find out that records are gone.
sub records_gone
{
	my ($topic, $from, $to, $what) = @_;
	my ($stop, $go) = ("$topic-stop", "$topic-go");
	my $total = () = lines_of(truth($topic));

	state_is($stop, 'stopped', "$what: policy stop stops");
	is(detail_of($stop),
		"offsets $from to " . ($to - 1) . ' are gone: removed before they were read',
		"$what: and says why");
	is(losses($stop), '', "$what: nothing is skipped before a person says so");
	sql($node, "SELECT factorymon.resume('$stop')");
	foreach my $pipeline ($stop, $go)
	{
		my $name = "$what, $pipeline";

		accounted($pipeline, 1, $total - ($to - $from),
			"$name: it goes on behind the gap");
		state_is($pipeline, 'running', "$name: and runs");
		like(events($node, "pipeline = '$pipeline'"), qr/gap/,
			"$name: an event tells");
		is(losses($pipeline), "gap $from $to", "$name: so does the ledger");
		holds($pipeline, 1,
			[ delivered($topic, 1, 0, $from), delivered($topic, 1, $to) ],
			"$name: all else is stored once");
		verified($pipeline, $name);
	}
	return;
}

records_gone('trimmed', 100, 150, 'records deleted while paused');

# Consent to a loss that turns out to be none is not kept for the next one.
sql($node, <<'QUERY');
UPDATE _factorymon.partition_offset SET stopped_reason = 'another_log'
WHERE stream_id = (SELECT stream_id FROM _factorymon.stream
	JOIN _factorymon.pipeline USING (pipeline_id) WHERE name = 'trimmed-stop')
QUERY
sql($node, "SELECT factorymon.resume('trimmed-stop')");
ok(poll_until($node, <<'QUERY', 'running f'), 'consent to nothing is forgotten');
SELECT concat_ws(' ', t.state, o.accept_loss)
FROM factorymon.partition_status() t
JOIN _factorymon.stream s ON s.incarnation = t.incarnation
JOIN _factorymon.pipeline p USING (pipeline_id)
JOIN _factorymon.partition_offset o USING (stream_id)
WHERE p.name = 'trimmed-stop' AND t.pipeline = p.name
QUERY

# Retention overtakes the anchor of a pipeline that is up to date.
my $traffic = start_producer(
	kafka => $kafka, topic => 'trimmed', sensors => 20, rate => 20,
	heartbeat => 0, seed => $seed++, truth => truth('trimmed'));
my $anchor = <<'QUERY';
SELECT o.anchor_offset FROM _factorymon.partition_offset o
JOIN _factorymon.stream s USING (stream_id)
JOIN _factorymon.pipeline p USING (pipeline_id) WHERE p.name = 'trimmed-go'
QUERY
ok(poll_until($node, $anchor, sub { $_[0] ne '' && $_[0] > 200 }),
	'the anchor follows');
my $low = sql($node, <<'QUERY');
SELECT position FROM factorymon.partition_status() WHERE pipeline = 'trimmed-go'
QUERY
$kafka->delete_records('trimmed', 0, $low);
ok(poll_until($node, $anchor, sub { $_[0] ne '' && $_[0] >= $low }),
	'where retention took the anchor, another takes its place');
is($traffic->stop->{rc}, 0, 'the producer delivered everything');

# --- compaction -------------------------------------------------------------

# Three keys only; every batch begins a segment, and all but the last are
# compacted soon.
$kafka->create_topic('packed', 1, 1, {
	'cleanup.policy' => 'compact',
	'segment.ms' => 1,
	'min.cleanable.dirty.ratio' => 0.001,
	'min.compaction.lag.ms' => 0 });

sub pack_up_to
{
	my ($offset) = @_;
	my $checkpoint = $kafka->dir . '/broker-1/data/cleaner-offset-checkpoint';

	produce('packed', 3, sensors => 3, sensor_id => 'packed', malformed => 0);
	return ok(
		poll_while("compaction up to $offset",
			sub {
				my ($line) = grep { /^packed 0 / } lines_of($checkpoint);

				return defined $line && (split / /, $line)[2] >= $offset;
			}),
		"compacted up to $offset");
}

produce('packed', 60, sensors => 3, sensor_id => 'packed', malformed => 0);
pack_up_to(60);
pipeline('packed', 'packed');
ok(poll_until($node, <<'QUERY', '63 0'), 'a compacted topic is read to its end');
SELECT concat_ws(' ', position, lag_messages)
FROM factorymon.partition_status() WHERE pipeline = 'packed'
QUERY
is(sql($node, <<'QUERY'), 't', 'the offsets that are gone are nothing to worry about');
SELECT sum(messages + rejected + other) BETWEEN 3 AND 62
FROM factorymon.ledger WHERE pipeline = 'packed'
QUERY
verified('packed', 'compacted');
sql($node, "SELECT factorymon.pause('packed')");
state_is('packed', 'paused', 'paused at the end');
produce('packed', 12, sensors => 3, sensor_id => 'packed', malformed => 0);
pack_up_to(75);
sql($node, "SELECT factorymon.resume('packed')");
ok(poll_until($node, <<'QUERY', '78 0 running'), 'it goes on without the message that it knew last');
SELECT concat_ws(' ', position, lag_messages, state)
FROM factorymon.partition_status() WHERE pipeline = 'packed'
QUERY
like(
	sql($node, <<'QUERY'), qr/compaction/, 'which is unproven, and said');
SELECT string_agg(reason, ', ') FROM factorymon.rebalancing_events
WHERE pipeline = 'packed' AND event = 'unproven'
QUERY
unlike(events($node, "pipeline = 'packed'"), qr/suspect|gap/,
	'but no other log');
verified('packed', 'compacted while paused');
sql($node, "SELECT factorymon.drop_pipeline('packed')");

# --- seek -------------------------------------------------------------------

sub seek_to
{
	my ($arguments) = @_;

	return sql($node, "SELECT factorymon.seek('sought', 0, $arguments)");
}

# Pause, move, resume: returns where it went.
sub move
{
	my ($arguments, $before_resume) = @_;

	sql($node, "SELECT factorymon.pause('sought', 0)");
	state_is('sought', 'paused', "seek $arguments: paused");
	$before_resume->() if $before_resume;
	my $to = seek_to($arguments);
	sql($node, "SELECT factorymon.resume('sought', 0)");
	return $to;
}

accounted('sought', 1, 60, 'before the first seek');
# alarms without the delays of the built-in limits, which take too long here
sql($node, <<'QUERY');
INSERT INTO factorymon.threshold (sensor_type, critical_low, warning_low,
	warning_high, critical_high)
SELECT sensor_type, critical_low, warning_low, warning_high, critical_high
FROM factorymon.default_thresholds()
QUERY
my $middle = sql($node, 'SELECT clock_timestamp()');
produce('sought', 140);
accounted('sought', 1, 200, 'before the first seek');
refused("SELECT factorymon.seek('sought', 0, 100)",
	qr/back without replay/, 'going back needs replay');
refused("SELECT factorymon.seek('sought', 0, 100, replay => true)",
	qr/while it is not paused/, 'and a partition that is paused');
refused("SELECT factorymon.seek('sought', 0, 201)", qr/beyond the end/,
	'there is nothing beyond the end');
my $whole = [ truth('sought') ];
my $alarms = q{SELECT count(*) || ': ' || md5(string_agg(a::text, ' ' ORDER BY a::text))
FROM factorymon.alerts a WHERE pipeline = 'sought'};
my $raised = sql($node, $alarms);
like($raised, qr/^[1-9]/, 'there were alarms');
cmp_ok(move('100, replay => true'), '<=', 100, 'replay from an offset');
accounted('sought', 1, 200, 'replay from an offset: read again');
is_exact($node, $whole, pipeline => 'sought', name => 'replay from an offset');
cmp_ok(move("'$middle'::timestamptz, replay => true"), '<=', 60,
	'replay from a time');
accounted('sought', 1, 200, 'replay from a time: read again');
is_exact($node, $whole, pipeline => 'sought', name => 'replay from a time');
is(move("'earliest', replay => true"), 0, 'replay from the start');
accounted('sought', 1, 200, 'replay from the start: read again');
is_exact($node, $whole, pipeline => 'sought', name => 'replay from the start');
is(sql($node, $alarms), $raised, 'what was replayed raised no alarm again');
like(events($node, "pipeline = 'sought'"), qr/(sought.*){3}/, 'events tell');

is(move('230', sub { produce('sought', 50) }), 230, 'forward');
accounted('sought', 1, 220, 'forward: what follows is read');
is(losses('sought'), 'gap 200 230', 'what was left out is a gap');
holds('sought', 1, [ delivered('sought', 1, 0, 200), delivered('sought', 1, 230) ],
	'and all else is stored once');
verified('sought', 'forward');
ok(poll_until($node, <<'QUERY', 't'), 'what was replayed is counted once');
SELECT sum(readings) = (SELECT count(*) FROM factorymon.sensor_readings
	WHERE pipeline = 'sought')
FROM factorymon.sensor_health WHERE pipeline = 'sought'
QUERY
is(move("'latest'", sub { produce('sought', 20) }), 270, 'to the end');
is(move('210, replay => true'), 210, 'back into the gap');
accounted('sought', 1, 260, 'back into the gap: read at last');
is(losses('sought'), 'gap 200 210', 'the rest of the gap remains');
verified('sought', 'back into the gap');
$kafka->delete_records('sought', 0, 30);
sql($node, "SELECT factorymon.pause('sought', 0)");
state_is('sought', 'paused', 'paused once more');
refused("SELECT factorymon.seek('sought', 0, 10, replay => true)",
	qr/below the start/, 'what Kafka does not have any more is not deleted');
refused("SELECT factorymon.seek('sought', 0, 'earliest', replay => true)",
	qr/no longer has all/, 'nor is what was stored together with it');
sql($node, "SELECT factorymon.resume('sought', 0)");
state_is('sought', 'running', 'it goes on');
holds('sought', 1, [ delivered('sought', 1, 0, 200), delivered('sought', 1, 210) ],
	'and everything is stored once');
verified('sought', 'at the end');
sql($node, "SELECT factorymon.drop_pipeline('sought')");

# --- another log, whose messages are stored before it is looked at ----------

# No proof for a long time.  The workers are frozen while the log changes, so
# that they do not notice anything of it and read on.  Of one topic they know
# an anchor; of the other one message only, which the worker after the one that
# stored it has to measure everything by.
$node->append_conf('postgresql.conf', <<'CONF');
factorymon.proof_interval = '1h'
factorymon.snapshot_interval = '1h'
CONF
$node->reload;
create_server($node, $kafka, name => 'patient',
	options => { 'session.timeout.ms' => 45000, 'fetch.wait.max.ms' => 5 });
both_policies($_, server => 'patient') foreach qw(mixed single);
produce('mixed', 60);
produce('single', 1, malformed => 0);
accounted("mixed-$_", 1, 60, "mixed-$_ reads") foreach qw(stop go);
accounted("single-$_", 1, 1, "single-$_ reads") foreach qw(stop go);
produce('mixed', 40);
accounted("mixed-$_", 1, 100, "mixed-$_ reads on") foreach qw(stop go);

my @terminated = split /\n/, sql($node, <<'QUERY');
SELECT pid FROM factorymon.worker_status()
WHERE pipeline ~ '^single' AND pg_terminate_backend(pid)
QUERY
ok(poll_until($node, <<"QUERY", 2), 'other workers take over');
SELECT count(*) FROM factorymon.partition_status() WHERE pipeline ~ '^single'
AND state = 'running' AND pid NOT IN (@{[ join ', ', @terminated ]})
QUERY
my @frozen = split /\n/, sql($node, <<'QUERY');
SELECT pid FROM factorymon.worker_status() WHERE pipeline ~ '^(mixed|single)'
QUERY
kill 'STOP', @frozen;
replace($_, 170) foreach qw(mixed single);
kill 'CONT', @frozen;
ok(poll_until($node, <<'QUERY', '170 170 170 170'), 'messages of another log are stored unawares');
SELECT string_agg(position::text, ' ') FROM factorymon.partition_status()
WHERE pipeline ~ '^(mixed|single)' AND incarnation = 1
QUERY

# --- changes while the server is stopped ------------------------------------

$node->append_conf('postgresql.conf', <<'CONF');
factorymon.proof_interval = '1s'
factorymon.snapshot_interval = '1s'
CONF
$node->stop;
replace("stopped-$_->[0]", $_->[1]) foreach @lengths;
produce('expired', 50);
$kafka->alter_topic_config('expired', { 'retention.ms' => 1 });
ok(poll_while('retention', sub { $kafka->offsets('expired')->{0}{low} == 150 }),
	'retention removes what was not read');
$kafka->alter_topic_config('expired', { 'retention.ms' => '' });
produce('expired', 30);
$node->start;

# the last message shows it before anything of the new log is stored
another_log("stopped-$_->[0]", 100, $_->[1], "$_->[0], stopped", 100)
  foreach @lengths;
records_gone('expired', 100, 150, 'retention while stopped');
another_log('mixed', 100, 170, 'stored unawares', 170);
another_log('single', 1, 170, 'stored unawares behind one message', 170);
unlike(events($node, "pipeline ~ '^trimmed'"), qr/suspect/,
	'a log that is the same is not suspected');

$node->stop;
done_testing();
