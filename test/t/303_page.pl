# The page's own modules: its words in both languages, and what it computes
# itself, tested by Node (test/page), as the service has them (page/built).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonTest;
use Test::More;

my @files = sort glob repo_path('test/page') . '/*.test.mjs';

cmp_ok(scalar @files, '>', 2, 'there are tests');
foreach my $file (@files)
{
	my $name = $file =~ s{.*/}{}r;
	my $ended = run_program([ 'node', '--test-reporter=tap', $file ]);
	my @results = $ended->{stdout} =~ /^((?:not )?ok \d+ - .*)$/mg;

	# Node's exit code also tells of what is no test, such as a broken import.
	is($ended->{rc}, 0, "$name ends well")
	  or diag $ended->{stdout}, $ended->{stderr};
	cmp_ok(scalar @results, '>', 0, 'with results');
	ok(/^ok/, "$name: " . s/^(?:not )?ok \d+ - //r) foreach @results;
}

done_testing();
