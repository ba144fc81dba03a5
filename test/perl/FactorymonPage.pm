# FactorymonPage.pm: the dashboard's page in a real browser.
#
#	use FactorymonPage;
#
#	my $packages = page_packages();		# skips the test where it must
#	run_page($packages, $dashboard, [ 'views', 'failures' ],
#		sql => sub { sql($node, $_[0]) }, ...);
#
# The tests themselves are test/page/*.js, run by Node with Debian's Chromium;
# each of their assertions is one of ours.  What they need done to the plant
# they ask for by name.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonPage;

use strict;
use warnings;

use Exporter 'import';
use FactorymonTest;
use JSON::PP ();
use Test::More;

our @EXPORT = qw(page_packages run_page);

my $json = JSON::PP->new->utf8->allow_nonref;

# page_packages(): the folder with what test/page takes from npm; the test is
# skipped as a whole without Node, a browser or that, so call it first.
sub page_packages
{
	my $browser = $ENV{CHROMIUM} || '/usr/bin/chromium';

	plan skip_all => 'Debian\'s package chromium is not installed'
	  unless -x $browser;
	my $result = run_program(
		[ map { FactorymonTest::repo_path($_) } 'test/npm-packages', 'test/page' ],
		timeout => 300);
	plan skip_all => 'what the test takes from npm cannot be had: '
	  . $result->{stderr}
	  if $result->{rc} != 0;
	my ($folder) = $result->{stdout} =~ /^(\S+)$/m;
	return $folder;
}

# run_page($packages, $dashboard, \@names, %answers [, env => {...}])
#
# Run tests by their names; %answers are functions that get the arguments of a
# question and return the answer.
sub run_page
{
	my ($packages, $dashboard, $names, %answers) = @_;
	my $process = FactorymonTest::Process->start(
		[ 'node', FactorymonTest::repo_path('test/page/run.js'), @$names ],
		name => 'browser',
		stdin => 'pipe',
		grace => 5,
		env => {
			FACTORYMON_PAGE_URL => 'http://localhost:' . $dashboard->port . '/',
			FACTORYMON_PAGE_PACKAGES => $packages,
			%{ delete $answers{env} || {} }
		});
	my $at = 0;
	my $ended = 0;

	while (!$ended)
	{
		my ($line, $runs);

		FactorymonTest::poll_while('a word of the browser',
			sub {
				$runs = $process->running;
				($line, $at) = _next_line($process->{out}, $at);
				defined $line || !$runs },
			2 * FactorymonTest::timeout_default());
		last unless defined $line;
		$ended = _hear($process, $json->decode($line), \%answers);
	}
	my $result = $process->wait;
	diag $result->{stderr} unless $ended && $result->{rc} eq '0';
	is("$ended $result->{rc}", '1 0', "the browser came to its end: @$names");
	return;
}

# The next line of a file that is being written to, and where the one after it
# begins.
sub _next_line
{
	my ($file, $at) = @_;

	open(my $in, '<', $file) or return (undef, $at);
	seek $in, $at, 0;
	my $line = <$in>;
	return defined $line && $line =~ /\n\z/ ? ($line, tell $in) : (undef, $at);
}

# True if that was the last of it.
sub _hear
{
	my ($process, $said, $answers) = @_;
	my ($what, @words) = map { my $word = $_; utf8::encode($word); $word } @$said;

	return 1 if $what eq 'end';
	if ($what eq 'ask')
	{
		my ($name, @arguments) = @words;
		my $answer = eval {
			[ 1, ($answers->{$name} || die "who knows of $name?\n")->(@arguments)
				  // '' ] } || [ 0, "$@" ];
		my $text = $json->encode(
			[ $answer->[0], do { my $copy = $answer->[1]; utf8::decode($copy); $copy } ]);

		local $SIG{PIPE} = 'IGNORE';
		print { $process->{stdin} } "$text\n";
	}
	elsif ($what eq 'note')
	{
		note $words[0];
	}
	else
	{
		ok($what eq 'ok', $words[0]) or diag $words[1] // '';
	}
	return 0;
}

1;
