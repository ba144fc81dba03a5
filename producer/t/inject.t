# inject.t - anomalies on purpose, and their labels
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $p = './factorymon-producer';
my $dir = tempdir(CLEANUP => 1);
my @plant = qw(--dry-run --start 2026-03-01T00:00:00Z --sensors 20
  --sensor-type temperature --anomalies none --seed 7 --count 60000);

# Readings by sensor in the order in which they were sent, and labels by kind.
sub made
{
	my (@args) = @_;
	my $file = "$dir/" . scalar(() = glob "$dir/*");
	my ($code, $out, $err) = run($p, @plant, @args, '--labels', $file);
	my (%readings, %labels);

	is("$code$err", '0', join ' ', 'runs', @args);
	foreach (split /\n/, $out)
	{
		/"timestamp":"([^"]+)","sensor_id":"([^"]+)".*"value":(-?[\d.]+),.*"reading_count":(\d+)/
		  or die $_;
		push @{ $readings{$2} }, { ts => $1, value => $3, count => $4 };
	}
	open my $fh, '<', $file or die "$file: $!";
	while (<$fh>)
	{
		my $label = decode_json($_);
		push @{ $labels{ $label->{kind} } }, $label;
	}
	return (\%readings, \%labels, $out);
}

my (undef, $none, $plain) = made();
my (undef, undef, $off) = made('--inject', 0);
is($off, $plain, 'without --inject nothing changes');
is(scalar(keys %$none), 0, 'and nothing is labelled');

my ($readings, $labels, $one) = made('--inject', 0.02);
my (undef, undef, $two) = made('--inject', 0.02);
is($one, $two, 'the same seed puts in the same');
is(join(' ', sort keys %$labels),
	'drift future gap late noise repeat spike step stuck', 'all kinds come up');
my (undef, $some) = made('--inject', 0.02, '--inject-kinds', 'spike,gap');
is(join(' ', sort keys %$some), 'gap spike', 'or those that were asked for');

# shares: readings touched, of 60,000
foreach my $kind (sort keys %$labels)
{
	my $touched = 0;
	$touched += $kind eq 'gap' ? 1 : $_->{last_count} - $_->{reading_count} + 1
	  foreach @{ $labels->{$kind} };
	ok($touched > 60000 * 0.01 && $touched < 60000 * 0.03,
		"share of $kind: $touched");
}

# what was put in is what the labels say
my %base;
foreach (split /\n/, $plain)
{
	/"timestamp":"([^"]+)","sensor_id":"([^"]+)".*"value":(-?[\d.]+),/ or die $_;
	$base{$2}{$1} = $3;
}
my %by_count;
foreach my $id (keys %$readings)
{
	push @{ $by_count{$id}{ $_->{count} } }, $_ foreach @{ $readings->{$id} };
}

sub all_of
{
	my ($kind, $name, $check) = @_;
	my @wrong = grep { !$check->($_, $by_count{ $_->{sensor_id} }) }
	  @{ $labels->{$kind} };

	is(scalar(@wrong), 0, "$kind: $name") or diag(encode_json($wrong[0]));
	return;
}

all_of('spike', 'four units off at least', sub {
	my ($l, $r) = @_;
	my $hit = $r->{ $l->{reading_count} }[0];
	return $hit->{ts} eq $l->{from} && $l->{from} eq $l->{to} &&
	  abs($hit->{value} - $base{ $l->{sensor_id} }{ $l->{from} }) >= 3.98;
});
all_of('stuck', 'one value', sub {
	my ($l, $r) = @_;
	my %values = map { $_->[0]{value} => 1 }
	  grep { defined } @$r{ $l->{reading_count} .. $l->{last_count} };
	return keys %values == 1;
});
all_of('step', 'all of it off', sub {
	my ($l, $r) = @_;
	return !grep {
		abs($_->[0]{value} - $base{ $l->{sensor_id} }{ $_->[0]{ts} }) < 6.38
	} @$r{ $l->{reading_count} .. $l->{last_count} };
});
all_of('gap', 'numbers that never come', sub {
	my ($l, $r) = @_;
	return !grep({ $r->{$_} } $l->{reading_count} .. $l->{last_count}) &&
	  $r->{ $l->{last_count} + 1 }[0]{ts} eq $l->{from};
});
all_of('repeat', 'the same reading twice', sub {
	my ($l, $r) = @_;
	my $twice = $r->{ $l->{reading_count} };
	return @$twice == 2 && $twice->[0]{ts} eq $twice->[1]{ts} &&
	  $twice->[0]{value} eq $twice->[1]{value};
});
all_of('late', 'older than the one before', sub {
	my ($l, $r) = @_;
	my $before = $r->{ $l->{reading_count} - 1 };
	return $r->{ $l->{reading_count} }[0]{ts} eq $l->{from} &&
	  (!$before || $l->{from} lt $before->[0]{ts});
});
all_of('future', 'newer than the next', sub {
	my ($l, $r) = @_;
	my $next = $r->{ $l->{reading_count} + 1 };
	return $r->{ $l->{reading_count} }[0]{ts} eq $l->{from} &&
	  (!$next || $l->{from} gt $next->[0]{ts});
});

# usage
my ($code, undef, $err) = run($p, @plant, '--inject', 0.2);
is($code, 2, 'more than a tenth is too much');
($code, undef, $err) = run($p, @plant, '--inject-kinds', 'magic');
is($code, 2, 'an unknown kind');
like($err, qr/a list of kinds/, 'is called so');
($code, undef, $err) = run($p, @plant, '--labels', "$dir/no/such/file");
is($code, 2, 'a file that cannot be opened');
like($err, qr/cannot open/, 'is told');
my (undef, $help) = run($p, '--help');
like($help, qr/^  $_\s/m, "help names $_")
  foreach sort keys %$labels;

done_testing();
