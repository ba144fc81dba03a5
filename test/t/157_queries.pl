
# docs/queries.md: every example there answers, as a reader, and reads no more than
# it says: the time partitions of its range, and sums where there are sums.  The
# same at 50 million readings: bench/bench queries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $DAYS = 30;
my $node = new_node();
my $data = run_program([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d',
		$node->connstr('factory'), '-f', repo_path('bench/queries.sql') ]);

is($data->{rc}, 0, 'a plant') or diag $data->{stderr};
sql($node, "CALL question.plant(100, $DAYS)");
sql($node, "CALL question.day($_, $DAYS, '5 min', '15 min')") foreach 1 .. $DAYS;
sql($node, "CALL question.done($DAYS)");
sql($node, "SELECT _factorymon.merge_rollups('sensor-data')");
sql($node, 'ANALYZE');
cmp_ok(sql($node, 'SELECT count(*) FROM factorymon.sensor_readings'), '>', 290_000,
	'readings');

# Superusers alone may load auto_explain, so what is read is looked at as one of
# them, and what is allowed as a reader.
sub ask
{
	my ($document) = @_;
	my $answer = run_program([ 'python3', '-B',
			repo_path('bench/factorybench/asking.py'), $document,
			$node->connstr('factory') ]);

	note $answer->{stdout}, $answer->{stderr};
	return $answer;
}

my $path = repo_path('docs/queries.md');
my $text = PostgreSQL::Test::Utils::slurp_file($path);
my @examples = $text =~ /^```sql\n(.*?)^```$/msg;
my $answer = ask($path);
is($answer->{rc}, 0, 'every example answers, and reads no more than it says')
  or diag $answer->{stdout}, $answer->{stderr};
like($answer->{stdout}, qr/^${\ scalar @examples} examples, 0 failed$/m,
	'all ' . scalar(@examples) . ' of them');

sql($node, q{CREATE ROLE reader LOGIN; SELECT factorymon.grant_access('reader', 'reader')});
foreach my $example (@examples)
{
	my ($first) = $example =~ /\A(.{1,60})/;

	is($node->psql('factory', "SET ROLE reader; $example"), 0, "a reader: $first");
}

# Would it notice?
my $folder = PostgreSQL::Test::Utils::tempdir();
my %wrong = (
	'more partitions than it says' => [ 'reading 1', q{SELECT count(*)
FROM factorymon.sensor_readings WHERE ts >= now() - interval '10 days';} ],
	'rows where sums would do' => [ 'rollup_1h 9', q{SELECT avg(value)
FROM factorymon.sensor_readings WHERE sensor_id = 'energy-sensor-0060';} ],
	'no answer' => [ 'rollup_1d 9', q{SELECT * FROM factorymon.readings_1d
WHERE sensor_id = 'nobody';} ],
	'an error' => [ 'nothing', q{SELECT * FROM factorymon.last_readings(0);} ]);
foreach my $what (sort keys %wrong)
{
	my ($reads, $sql) = @{ $wrong{$what} };

	PostgreSQL::Test::Utils::append_to_file("$folder/$what.md",
		"### $what\n\n<!-- reads: $reads -->\n```sql\n$sql\n```\n");
	my $refused = ask("$folder/$what.md");
	is($refused->{rc}, 1, "noticed: $what");
	like($refused->{stdout}, qr/^FAILED: $what: /m, 'and said');
}

$node->stop;
done_testing();
