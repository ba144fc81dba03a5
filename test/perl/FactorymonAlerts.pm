
# FactorymonAlerts.pm - the topic of alarms, as its consumers see it
#
# Read by kcat, and judged by the schema in docs/.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonAlerts;

use strict;
use warnings;

use Exporter 'import';
use FactorymonTest;
use IPC::Run;
use JSON::PP;
use Test::More;

our @EXPORT = qw(
  alert_messages
  alerts_are_in_order
  distinct_alerts
);

# alert_messages($kafka [, $topic])
#
# All messages of a topic: { partition, key, timestamp, headers, value, text },
# those of a partition in their order; text is all but the partition, as read.
sub alert_messages
{
	my ($kafka, $topic) = @_;
	my ($out, $err);
	my @messages;

	IPC::Run::run([ 'kcat', '-C', '-b', $kafka->bootstrap, '-t',
			$topic // 'alerts', '-e', '-q', '-f', '%p\t%k\t%T\t%h\t%s\n' ],
		'>', \$out, '2>', \$err, IPC::Run::timeout(120))
	  or die "kcat: $err";
	foreach (split /\n/, $out)
	{
		my ($partition, $key, $timestamp, $headers, $value) = split /\t/, $_, 5;

		push @messages, {
			text => join("\t", $key, $timestamp, $headers, $value),
			partition => $partition, key => $key, timestamp => $timestamp,
			headers => { map { split /=/, $_, 2 } split /,/, $headers },
			value => decode_json($value) };
	}
	return @messages;
}

# Each event once, the first time that a consumer meets it.
sub distinct_alerts
{
	my %seen;

	return grep { !$seen{ $_->{value}{event_id} }++ } @_;
}

# What the schema has to say against messages; nothing is best.
sub _objections
{
	my (@messages) = @_;
	my ($out, $err);

	IPC::Run::run([ 'python3', '-c', <<'PROGRAM', repo_path('docs/alert.schema.json') ],
import json, jsonschema, sys
schema = json.load(open(sys.argv[1]))
schema["additionalProperties"] = False
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema,
	format_checker=jsonschema.FormatChecker())
for line in sys.stdin:
	for error in validator.iter_errors(json.loads(line)):
		print(error.json_path, error.message)
PROGRAM
		'<', \join('', map { encode_json($_->{value}) . "\n" } @messages),
		'>', \$out, '2>', \$err, IPC::Run::timeout(120)) or die "python3: $err";
	return $out;
}

# alerts_are_in_order($node, $kafka, $name)
#
# Three tests: the events of each alarm come in their order, all that the outbox
# calls delivered are there and nothing else, each is as the schema says.
# Returns how many there are.
sub alerts_are_in_order
{
	my ($node, $kafka, $name) = @_;
	my (%last, @wrong);
	my @events = distinct_alerts(alert_messages($kafka));

	foreach (@events)
	{
		my ($key, $value) = ($_->{key}, $_->{value});
		my $last = $last{ $value->{alarm_id} } // 0;

		push @wrong, "$key $value->{seq} after $last"
		  if $value->{seq} <= $last;
		$last{ $value->{alarm_id} } = $value->{seq};
	}
	is_deeply(\@wrong, [], "$name: the events of each alarm are in order");
	is(join(' ', sort map { $_->{value}{event_id} } @events),
		sql($node, <<'QUERY'), "$name: and every one is there");
SELECT string_agg(event_id::text, ' ' ORDER BY event_id::text COLLATE "C")
FROM factorymon.alert_outbox WHERE state = 'delivered'
QUERY
	is(_objections(@events), '', "$name: and is as the schema says");
	return scalar @events;
}

1;
