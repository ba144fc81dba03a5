
# docs/formats.md: every example there, as it is written there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use Test::More;

my $node = new_node(preload => 0);
my $path = repo_path('docs/formats.md');

# Blocks of SQL, each followed by what psql answers.  With FORMATS_DOC_WRITE in the
# environment the answers are put into the file, to be read before they are
# committed.
sub answer_of
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[ 'psql', '-X', '-q', '-d', $node->connstr('factory') ],
		'<', \"SET timezone = 'UTC';\n$sql", '>', \$out, '2>', \$err);
	$out .= $err;
	$out =~ s/[ \t]+$//mg;
	$out =~ s/\s*\z//;
	return $out;
}

open my $in, '<', $path or die "$path: $!";
my $text = do { local $/; <$in> };
close $in;
my $write = $ENV{FORMATS_DOC_WRITE};
my $n = 0;
$text =~ s{```sql\n(.*?)```\n```text\n(.*?)\n?```}{
	my ($sql, $expected) = ($1, $2);
	my $answer = answer_of($sql);

	$n++;
	$write || is($answer, $expected, "example $n: " . ($sql =~ /^(.{1,60})/)[0]);
	"```sql\n$sql```\n```text\n$answer\n```"}gse;
my $blocks = () = $text =~ /^```sql$/mg;
is($n, $blocks, "all $blocks examples have their answers");
if ($write)
{
	open my $out, '>', $write or die "$write: $!";
	print $out $text;
	close $out or die "$write: $!";
}

$node->stop;
done_testing();
