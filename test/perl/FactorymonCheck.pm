
# FactorymonCheck.pm - is what the database holds what the producer delivered?
#
# Producers write the truth: a line for each record that the broker confirmed.
# The database rebuilds every message from its rows; factorymon-digest makes
# the same lines of that.  Equal, sorted: each message is stored exactly once,
# and as it was.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonCheck;

use strict;
use warnings;

use Exporter qw(import);
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  caught_up
  events
  is_exact
  lag_is_zero
  levels_are_right
  quick_options
  running
);

# quick_options([%more])
#
# Options of a server that make the embedded broker's groups settle quickly: it
# waits for a session timeout, less a second, at every rebalance.
sub quick_options
{
	return {
		'fetch.wait.max.ms' => 20,
		'session.timeout.ms' => 3000,
		'heartbeat.interval.ms' => 500,
		@_
	};
}

# running($node [, $partitions [, $timeout]])
#
# Wait until that many partitions are running.
sub running
{
	my ($node, $partitions, $timeout) = @_;

	return poll_until($node, <<'QUERY', $partitions // 3, $timeout);
SELECT count(*) FROM factorymon.partition_status() WHERE state = 'running'
QUERY
}

# caught_up($node, $total [, $timeout])
#
# Wait until that many messages are accounted for: readings, rejects, others.
sub caught_up
{
	my ($node, $total, $timeout) = @_;

	return poll_until($node, <<'QUERY', $total, $timeout);
SELECT sum(messages + rejected + other + duplicates)
FROM factorymon.message_counters
QUERY
}

# lag_is_zero($node [, $timeout])
#
# Wait until every partition is at its end, as factorymon sees it.
sub lag_is_zero
{
	my ($node, $timeout) = @_;

	return poll_until($node, <<'QUERY', 't', $timeout);
SELECT count(*) > 0 AND bool_and(state = 'running' AND lag_messages = 0)
FROM factorymon.partition_status()
QUERY
}

# events($node [, $where])
#
# Names of the events so far, oldest first, separated by blanks.
sub events
{
	my ($node, $where) = @_;

	$where //= 'true';
	return sql($node, <<"QUERY");
SELECT coalesce(string_agg(event, ' ' ORDER BY at), '')
FROM factorymon.rebalancing_events WHERE $where
QUERY
}

sub _stored
{
	my ($node, $pipeline) = @_;
	my $rows = sql($node, <<"QUERY");
SELECT concat_ws(E'\\t', kafka_partition, kafka_offset, 'reading', message)
FROM factorymon.original_messages('$pipeline')
UNION ALL
SELECT CASE WHEN reason = 'database'
	THEN concat_ws(E'\\t', kafka_partition, kafka_offset, 'reading',
		convert_from(value, 'UTF8'))
	ELSE concat_ws(E'\\t', kafka_partition, kafka_offset, 'malformed',
		encode(value, 'hex')) END
FROM factorymon.rejects WHERE pipeline = '$pipeline' AND value IS NOT NULL
QUERY
	my ($out, $err) = ('', '');
	my @digest = require_program('factorymon-digest');

	IPC::Run::run(\@digest, '<', \"$rows\n", '>', \$out, '2>', \$err)
	  or die "factorymon-digest: $err";
	return $out;
}

# levels_are_right($node [, $name])
#
# One test: the level of each reading is that of the default limits of its type.
sub levels_are_right
{
	my ($node, $name) = @_;

	is(sql($node, <<'QUERY'), '',
SELECT r.sensor_type, r.value, r.level
FROM factorymon.sensor_readings r
JOIN factorymon.default_thresholds() d USING (sensor_type)
WHERE r.level IS DISTINCT FROM factorymon.classify(r.value, d.critical_low,
	d.warning_low, d.warning_high, d.critical_high)
QUERY
		($name ? "$name: " : '')
		  . 'no reading has a level that its limits deny');
	return;
}

# is_exact($node, \@truth_files [, pipeline => NAME, name => TEXT,
#	dropped => { 'partition offset' => 1, ... }])
#
# Three tests: the stored messages are those delivered, each once; the ledger
# agrees with the tables; and it is not trivially so.  Duplicates are records
# like others here, but for the offsets that are dropped: those of a pipeline
# that knows duplicates, and then nothing may be stored of them.
sub is_exact
{
	my ($node, $truth, %opt) = @_;
	my $pipeline = $opt{pipeline} // 'sensor-data';
	my $name = $opt{name} // 'exactly once';
	my $dropped = $opt{dropped} // {};
	# a producer that was killed may leave half a line
	my @want = sort
	  grep { !/^(\d+ \d+) / || !$dropped->{$1} }
	  grep { /^\d+ \d+ (reading|malformed) (id=\S+ )?[0-9a-f]{16}$/ }
	  map { s/^(\d+ \d+) duplicate of=\S+ /$1 reading /r }
	  map { lines_of($_) } @$truth;
	my @got = sort split /\n/, _stored($node, $pipeline);
	my (%want, %got);

	$want{$_}++ foreach @want;
	$got{$_}++ foreach @got;
	my @missing = grep { !$got{$_} } @want;
	my @extra = grep { $got{$_} > ($want{$_} // 0) } @got;

	cmp_ok(scalar @want, '>', 0, "$name: something was delivered");
	ok(@missing == 0 && @extra == 0,
		"$name: all that was delivered is stored as it was, once")
	  or diag(scalar(@want) . ' delivered, ' . scalar(@got) . " stored\n"
		  . 'missing: ' . join(', ', @missing[0 .. ($#missing < 4 ? $#missing : 4)])
		  . "\nextra: " . join(', ', @extra[0 .. ($#extra < 4 ? $#extra : 4)]));
	is(sql($node, "SELECT * FROM factorymon.verify_delivery('$pipeline')"),
		'', "$name: verify_delivery() finds nothing");
	return;
}

1;
