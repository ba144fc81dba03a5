# digest.t - factorymon-digest: the same lines as the producer's
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;

sub digest
{
	my ($input) = @_;
	my $file = scratch();
	open my $fh, '>', $file or die;
	print $fh $input;
	close $fh;
	return run('sh', '-c', "./factorymon-digest < $file");
}

my ($code, $out, $err) = digest("0\t1\treading\t{ \"b\": 1.50, \"a\": [] }\n"
	. "0\t2\treading\t{\"a\":[],\"b\":15e-1}\n");
my @d = map { (split / /)[3] } split /\n/, $out;
is("$code$err", '0', 'readings are read');
is($d[0], $d[1], 'the same value has the same digest');
is($d[0], '41726ca73baec8c0', 'which is the one that it always was');

my $id = '4593afc4-17dd-4355-99ca-46c93b5abad3';
my $own = "{\"a\": 1, \"unique_reading_id\": \"$id\"}";
my $none = $own =~ s/-/_/r;
my $quoted = '{"a":"\\"unique_reading_id\\":\\"' . $id . '\\""}';
($code, $out, $err) = digest("0\t1\treading\t$own\n0\t2\tduplicate\t$own\n"
	. "0\t3\treading\t$none\n0\t4\treading\t$quoted\n");
is("$code$err", '0', 'readings with ids are read');
like($out, qr/^0\ 1\ reading\ id=$id\ ([0-9a-f]{16})\n
	0\ 2\ duplicate\ id=$id\ \1\n
	0\ 3\ reading\ [0-9a-f]{16}\n0\ 4\ reading\ [0-9a-f]{16}\n\z/x,
	'an id is told where it is one');

($code, $out, $err) = digest("3\t17\tmalformed\t666f6f626172\n"
	. "3\t18\tmalformed\t\\x666F6F626172\n3\t19\tmalformed\t\n"
	. "3\t20\ttombstone\t-\n3\t21\tmalformed\t-\n4\t0\theartbeat\t61");
is($out, "3 17 malformed 85944171f73967e8\n3 18 malformed 85944171f73967e8\n"
	. "3 19 malformed cbf29ce484222325\n3 20 tombstone -\n3 21 malformed -\n"
	. "4 0 heartbeat af63dc4c8601ec8c\n", 'payloads in hexadecimal');
is("$code$err", '0', 'without a complaint');

my @bad = ("x\t1\treading\t{}", "0\t-1\treading\t{}", "0\t1\tother\t00",
	"0\t1\tmalformed\t0", "0\t1\tmalformed\tzz", "0\t1\treading\t{", "0\t1",
	"0\t99999999999999999999\ttombstone\t-");
($code, $out, $err) = digest(join('', map { "$_\n" } @bad)
	. "5\t6\ttombstone\t-\n");
is($code, 1, 'lines that make no sense: exit code 1');
is($out, "5 6 tombstone -\n", 'they leave no line, others do');
is(scalar(() = $err =~ /^factorymon-digest: line \d+: /mg), scalar(@bad),
	'each is reported');

# what the producer prints is what the digest takes
my (undef, $printed) = run(qw(./factorymon-producer --dry-run --count 500
	--seed 5 --sensors 20 --extra 0.5 --malformed 0.2 --tombstones 0.1));
my $n = 0;
($code, $out, $err) = digest(join '', map { my ($k, undef, $v) = split /\t/;
	"0\t" . $n++ . "\t$k\t" . ($v // '') . "\n" } split /\n/, $printed);
is("$code$err", '0', 'every message of the producer can be digested');
is(scalar(split /\n/, $out), 500, 'and has its line');

done_testing();
