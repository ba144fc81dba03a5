
# Messages that are several readings, from end to end and back: original_message()
# gives each back as it was sent, after replay, after a part was taken again, after
# rejects were retried with a mended mapping and in other formats; purge_suspect()
# takes away all readings of a message; verify_delivery() finds nothing in between.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use FactorymonCheck;
use POSIX qw(strftime);
use Test::More;

plan skip_all => 'kcat is not installed' if system('kcat -V >/dev/null 2>&1') != 0;

my @topics = qw(cities gateway);
my $broker = start_broker(topics => [ map { "$_:1" } @topics ]);
my $node = new_node();
my $begin = time() - 3600;
my %sent = map { ($_ => []) } @topics;

sub send_lines
{
	my ($topic, @lines) = @_;
	my $in = join '', map { "$_\n" } @lines;
	my $err = '';

	IPC::Run::run([ 'kcat', '-P', '-b', $broker->bootstrap, '-t', $topic, '-p', 0 ],
		'<', \$in, '2>', \$err)
	  or die "kcat: $err";
	push @{ $sent{$topic} }, @lines;
	return;
}

sub taken
{
	my ($pipeline, $name) = @_;

	return ok(poll_until($node, <<"QUERY", scalar @{ $sent{$pipeline} }), $name);
SELECT sum(messages + rejected + other) FROM factorymon.message_counters
WHERE pipeline = '$pipeline'
QUERY
}

# Two tests: what can be rebuilt of a pipeline is what was sent to it, but for
# these offsets, which have no message; and the ledger agrees.
sub is_as_sent
{
	my ($pipeline, $name, @without) = @_;
	my %without = map { ($_ => 1) } @without;
	my @rows = map { $without{$_} ? () : "($_, " . quoted($sent{$pipeline}[$_]) . ')' }
	  0 .. $#{ $sent{$pipeline} };

	is(sql($node, <<"QUERY"), '', "$pipeline: $name");
SELECT s.n, s.message, m.kafka_offset, m.message
FROM (VALUES ${\ join ', ', @rows }) AS s (n, message)
	FULL JOIN factorymon.original_messages('$pipeline') m
		ON m.kafka_offset = s.n AND m.kafka_partition = 0
WHERE m.message IS DISTINCT FROM s.message::jsonb
ORDER BY coalesce(s.n, m.kafka_offset) LIMIT 3
QUERY
	is(sql($node, "SELECT * FROM factorymon.verify_delivery('$pipeline')"), '',
		"$pipeline: verify_delivery() finds nothing");
	return;
}

sub quoted { return "'" . ($_[0] =~ s/'/''/gr) . "'" }

sub city
{
	my ($n) = @_;

	return sprintf '{"city":"%s","temperature":%s,"humidity":%d,"status":"%s",'
	  . '"timestamp":%s%s}', ("S\xc3\xa3o Paulo", 'Recife', 'L"/\\\\"')[ $n % 3 ] =~ s/^L"/L\\"/r =~ s/"$/\\"/r,
	  ('21.5', '-1e1', '20.000000000000000001')[ $n / 3 % 3 ], 40 + $n % 5,
	  ('normal', 'Normal', 'ALERTA', 'tranquilo')[ $n % 4 ],
	  ('"' . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($begin + $n)) . '"',
		'"' . strftime('%Y-%m-%d %H:%M:%S', gmtime($begin + $n)) . '"',
		$begin + $n . '.25')[ $n / 2 % 3 ],
	  $n % 7 == 0 ? ',"wind":{"kmh":' . $n . ',"from":[null,"N"]}' : '';
}

sub gateway
{
	my ($n) = @_;

	return sprintf '{"gw":"g%d","t":%d,"p":[{"n":"a","v":%d},{"n":"b"%s},{"n":"c","v":1%s}]}',
	  $n % 2, $begin + $n, $n, $n % 3 == 0 ? '' : ',"v":7', $n % 5 == 0 ? ',"u":"C"' : '';
}

# --- as they come ---------------------------------------------------------------
sql($node, <<'QUERY');
INSERT INTO factorymon.format VALUES ('gateway', '{"each": "/p",
	"timestamp": {"at": "/t", "as": "epoch_s"}, "machine_id": "/gw",
	"sensor_id": {"join": ["/gw", {"const": "-"}, "@/n"]}, "unit": {"at": "@/u", "default": ""},
	"sensor_type": {"const": "temperature"}, "value": {"at": "@/v", "required": false}}');
QUERY
create_pipeline($node, $broker, topic => 'cities', name => 'cities', format => 'city',
	consumer_group => 'cities', options => quick_options());
create_pipeline($node, $broker, topic => 'gateway', name => 'gateway', format => 'gateway',
	consumer_group => 'gateway');
ok(running($node, 2), 'two pipelines run');
send_lines('cities', map { city($_) } 0 .. 99);
send_lines('gateway', map { gateway($_) } 0 .. 99);
taken($_, "$_: every message is accounted for") foreach @topics;
is_as_sent('cities', 'messages of two readings come back as they were');
is_as_sent('gateway', 'so do those of two or three');
is(sql($node, <<'QUERY'), '200|266', 'which are so many readings');
SELECT count(*) FILTER (WHERE pipeline = 'cities'), count(*) FILTER (WHERE pipeline = 'gateway')
FROM factorymon.sensor_readings
QUERY
is(sql($node, "SELECT factorymon.original_message('cities', 0, 17) = " . quoted(city(17)) . '::jsonb'),
	't', 'one alone, too');
is(sql($node, "SELECT factorymon.original_message('cities', 0, 1000) IS NULL"), 't',
	'null where there is none');
is(sql($node, "SELECT string_agg(kafka_offset::text, ',' ORDER BY kafka_offset) "
	  . "FROM factorymon.original_messages('gateway', 0, 10, 13)"), '10,11,12', 'or some of them');

# --- seek and replay ---------------------------------------------------------------
sub again
{
	my ($pipeline, $to) = @_;

	sql($node, "SELECT factorymon.pause('$pipeline', 0)");
	sql($node, "SELECT factorymon.seek('$pipeline', 0, $to, replay => true)");
	sql($node, "SELECT factorymon.resume('$pipeline', 0)");
	taken($pipeline, "$pipeline: read again from $to");
	return;
}

again('cities', quoted('earliest'));
is_as_sent('cities', 'the same after all of it was read again');
again('gateway', 50);
is_as_sent('gateway', 'or half of it');

# --- rejects --------------------------------------------------------------------
my @odd = map { gateway($_) =~ s/"gw"/"gateway"/r } 100 .. 119;
send_lines('gateway', @odd, '{"gw":"g1"}', gateway(121));
taken('gateway', 'what the mapping does not know is accounted for');
is_as_sent('gateway', 'and is no message that could be rebuilt', 100 .. 120);
sql($node, <<'QUERY');
UPDATE factorymon.format SET mapping = jsonb_set(jsonb_set(mapping, '{machine_id}',
		'{"at": ["/gw", "/gateway"]}'), '{sensor_id}', '{"join": ["/t2", "@/n"], "default": "s"}')
	WHERE name = 'gateway'
QUERY
is(sql($node, "SELECT * FROM factorymon.retry_rejects('gateway')"), '21|20|1',
	'rejects are taken in with a mended mapping');
is(sql($node, <<'QUERY'), 't', 'what another mapping stored is not guessed');
SELECT count(*) = 101 AND bool_and(message IS NULL)
FROM factorymon.original_messages('gateway') WHERE kafka_offset NOT BETWEEN 100 AND 119
QUERY
is(sql($node, <<"QUERY"), 't', 'what this one stored comes back');
SELECT count(*) = 20 AND bool_and(message = (ARRAY[${\ join ', ', map { quoted($_) . '::jsonb' } @odd }])[kafka_offset - 99])
FROM factorymon.original_messages('gateway') WHERE kafka_offset BETWEEN 100 AND 119
QUERY
my ($rc, $out, $err) =
  $node->psql('factory', "SELECT factorymon.original_message('gateway', 0, 7)");
like($err, qr/cannot rebuild a message of pipeline "gateway"/, 'one alone is an error');
sql($node, <<'QUERY');
UPDATE factorymon.format SET mapping = jsonb_set(mapping, '{sensor_id}',
	'{"join": [{"const": "g"}, {"const": "-"}, "@/n"]}') WHERE name = 'gateway'
QUERY
ok(poll_until($node, <<'QUERY', 't'), 'the mapping changes once more');
SELECT bool_and(state = 'running') FROM factorymon.partition_status() WHERE pipeline = 'gateway'
QUERY
again('gateway', quoted('earliest'));
is_as_sent('gateway', 'and read again by the mapping of today, all come back', 120);

# --- what may have come from another log ----------------------------------------------
sql($node, "SELECT factorymon.pause('cities', 0)");
ok(poll_until($node, <<'QUERY', 't'), 'paused');
SELECT bool_and(state = 'paused') FROM factorymon.partition_status() WHERE pipeline = 'cities'
QUERY
my $rows = sql($node, <<'QUERY');
SELECT sum(readings) FROM factorymon.ledger WHERE pipeline = 'cities' AND kind = 'extent'
QUERY
is($rows, 200, 'the ledger counts readings, not messages');
is(sql($node, <<'QUERY'), 200, 'purge_suspect() removes all readings of each message');
UPDATE _factorymon.ledger SET kind = 'suspect', closed_at = now() WHERE kind = 'extent'
	AND stream_id = (SELECT stream_id FROM _factorymon.stream WHERE topic = 'cities');
UPDATE _factorymon.stream SET retired_at = now() WHERE topic = 'cities';
SELECT factorymon.purge_suspect('cities', 0);
QUERY
is(sql($node, "SELECT count(*) FROM factorymon.sensor_readings WHERE pipeline = 'cities'"), 0,
	'none is left');
is(sql($node, "SELECT count(*) FROM factorymon.original_messages('cities')"), 0, 'and no message');
is(sql($node, "SELECT * FROM factorymon.verify_delivery('cities')"), '',
	'the ledger knows it as a gap');

$node->stop;
done_testing();
