# broker.t - the embedded broker and its commands
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;

# addresses and topics
my $file = scratch('servers');
my $broker = broker('--bootstrap-file', $file);
is(slurp($file), "$broker->{servers}\n", 'the file has the addresses');
is(scalar(split /,/, $broker->{servers}), 3, 'three brokers');
my $status = command($broker, 'status');
is(scalar(() = $status =~ /^partition sensor-data \d leader [123] offsets 0 to 0$/mg),
	3, 'sensor-data has three partitions');
is(scalar(() = $status =~ /^partition alerts /mg), 2, 'alerts has two');
like($status, qr/\nok\n\z/, 'an answer ends with ok');

my $own = broker(qw(--brokers 1 --topic a:1 --topic b:7:1));
$status = command($own, 'status');
is(scalar(() = $status =~ /^partition b /mg), 7, 'topics as asked');
unlike($status, qr/sensor-data/, 'and no others');

# commands
my %answers = (
	'create new 4' => 'ok',
	'create new 4 2 1' => 'error: wrong number of words',
	'create new2 4 9' => 'error: replication',
	'create sensor-data 4' => 'error: .*exist',
	'create b/d 1' => 'error: not a topic name',
	'create zero 0' => 'error: expected',
	'broker down 2' => 'ok',
	'broker up 2' => 'ok',
	'broker up 4' => 'error: no such broker',
	'broker sideways 1' => 'error: expected',
	'rtt all 0' => 'ok',
	'rtt 1 x' => 'error: not a number',
	'leader sensor-data 0 2' => 'ok',
	'leader sensor-data 3 2' => 'error: no such partition',
	'leader nothing 0 2' => 'error: no such topic',
	'leader sensor-data 0 9' => 'error: no such broker',
	'follower sensor-data 0 3' => 'ok',
	'follower sensor-data 0 none' => 'ok',
	'follower-watermarks sensor-data 0 -1 -1' => 'ok',
	'follower-watermarks sensor-data 0 -1 x' => 'error: watermarks',
	'topic-error alerts LEADER_NOT_AVAILABLE' => 'ok',
	'topic-error alerts none' => 'ok',
	'topic-error alerts SOMETHING' => 'error: no such error',
	'request-errors Fetch 6 NOT_LEADER_FOR_PARTITION*2' => 'ok',
	'request-errors 1 rd_kafka_resp_err__transport' => 'ok',
	'request-errors Fetsch 6' => 'error: no such request',
	'request-errors Fetch 6*x' => 'error: not a number',
	'clear-errors Fetch' => 'ok',
	'broker-errors 1 Metadata none:5' => 'ok',
	'broker-errors 7 Metadata none:5' => 'error: no such broker',
	'coordinator group sensor-processors 2' => 'ok',
	'coordinator people sensor-processors 2' => 'error: expected',
	'api-version 3 0 2' => 'ok',
	'rack 1 east' => 'ok',
	'dance' => 'error: no such command',
);
foreach my $line (sort keys %answers)
{
	my ($code, $out) = run('./factorymon-broker', '--send', $broker->{control},
		split / /, $line);
	my $expected = $answers{$line};
	like($out, qr/^$expected.*\n\z/, $line);
	is($code, $expected eq 'ok' ? 0 : 1, "$line: exit code");
}
like(command($broker, 'status'), qr/^partition new 3 leader /m,
	'a topic created while it runs');
like(command($broker, 'help'), qr/request-errors REQUEST/, 'help');
command($broker, qw(leader sensor-data 1 none));
like(command($broker, 'status'), qr/^partition sensor-data 1 leader -1$/m,
	'no leader');
command($broker, qw(broker down all));
like(command($broker, 'status'), qr/^broker 1 down\nbroker 2 down\nbroker 3 down\nok$/m,
	'status answers with all brokers down');

# the same on standard input
my $in = $own->{in};
print $in "# a comment\n\nrtt 1 0\ndance\nstatus\n";
$in->flush;
my $out = $own->{out};
is(scalar(<$out>), "ok\n", 'standard input: ok');
is(scalar(<$out>), "error: no such command; try help\n",
	'standard input: error');
like(scalar(<$out>), qr/^bootstrap/, 'standard input: status');

# the end
close $in;
waitpid $own->{pid}, 0;
is($?, 0, '--exit-with-stdin ends with standard input');
ok(!-e $own->{control}, 'and removes its socket');
kill 'TERM', $broker->{pid};
waitpid $broker->{pid}, 0;
is($?, 0, 'SIGTERM ends it');
ok(!-e $broker->{control}, 'and it removes its socket');
my ($code) = run('./factorymon-broker', '--send', $broker->{control}, 'status');
is($code, 1, 'nobody there: exit code 1');
my $quit = start('./factorymon-broker', '--control', scratch('control'));
ok(wait_until(sub { slurp($quit->{out}) =~ /^bootstrap/ }),
	'runs on without standard input');
(my $path) = $quit->{cmd} =~ /--control (\S+)/;
($code, $out) = run('./factorymon-broker', '--send', $path, 'quit');
is("$code $out", "0 ok\n", 'quit is answered');
is((finish($quit))[0], 0, 'and ends it');

# wrong usage
foreach my $args ([qw(--brokers 0)], [qw(--topic x)], [qw(--topic x:0)],
	[qw(--topic x:1:9)], ['more'], [qw(--send path)])
{
	my ($c, $o, $e) = run('./factorymon-broker', @$args);
	is($c, 2, "@$args: exit code 2");
	like($e, qr/^factorymon-broker: /, "@$args: a message");
}

done_testing();
