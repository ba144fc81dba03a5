# content.t - what the simulated plant says
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

use strict;
use warnings;
use lib 't/lib';
use FmTest;
use Test::More;

my $p = './factorymon-producer';
my @all = qw(--dry-run --start 2025-09-16T00:00:00Z --sensors 50 --count 2000
  --malformed 0.1 --tombstones 0.05 --extra 0.2);

# determinism
my (undef, $one) = run($p, @all, '--seed', 7);
my (undef, $two) = run($p, @all, '--seed', 7);
my (undef, $other) = run($p, @all, '--seed', 8);
my (undef, $fast) = run($p, @all, '--seed', 7, '--rate', 0);
is($one, $two, 'the same seed gives the same bytes');
is($one, $fast, 'whatever the rate');
isnt($one, $other, 'another seed gives other bytes');

# shares
my %kind;
$kind{ (split /\t/)[0] }++ foreach split /\n/, $one;
cmp_ok(abs($kind{malformed} - 200), '<', 60, 'share of malformed messages');
cmp_ok(abs($kind{tombstone} - 100), '<', 45, 'share of tombstones');
is($kind{reading} + $kind{malformed} + $kind{tombstone}, 2000,
	'--count counts all kinds');
my (undef, $empty) = run($p, @all, qw(--malformed 1 --malformed-kinds empty
	--tombstones 0 --count 5));
is($empty =~ s/^malformed\t\S+\t\n//mgr, '',
	'an empty message has no bytes');
my (undef, $none) = run($p, @all, qw(--malformed 0 --tombstones 1 --count 5));
is($none =~ s/^tombstone\t\S+\t-\n//mgr, '', 'a tombstone has no value');
my (undef, $big) = run($p, qw(--dry-run --count 3 --big 1 --big-bytes 50000));
is(join(',', map { length((split /\t/)[2]) } split /\n/, $big),
	'50000,50000,50000', 'big messages are as big as asked');

# the plant: value, level, counters of each reading
sub readings
{
	my (@args) = @_;
	my (undef, $out) = run($p, '--dry-run', '--start', '2025-09-16T00:00:00Z',
		'--seed', 3, @args);
	my @r;
	foreach (split /\n/, $out)
	{
		next unless /^reading\t/;
		/"timestamp":"([^"]+)","sensor_id":"([^"]+)","sensor_type":"(\w+)".*"value":(-?[\d.]+),.*"alert_level":"(\w+)".*"reading_count":(\d+),"warning_threshold":([\d.]+),"critical_threshold":([\d.]+)/
		  or die $_;
		push @r, { ts => $1, id => $2, type => $3, value => $4, level => $5,
			count => $6, warning => $7, critical => $8 };
	}
	return @r;
}

sub share
{
	my ($r, $test) = @_;
	return grep({ $test->($_) } @$r) / @$r;
}

my @r = readings(qw(--sensors 60 --count 30000 --malformed 0.1
	--tombstones 0.1));
my (%last, %types, %decimals, $wrong_count, $wrong_level);
foreach (@r)
{
	$wrong_count++ if $_->{count} != ($last{ $_->{id} } // 0) + 1;
	$last{ $_->{id} } = $_->{count};
	$types{ $_->{type} }{ $_->{id} } = 1;
	$decimals{ $_->{type} }{ length(($_->{value} =~ /\.(\d+)$/)[0] // '') } = 1;
	my $level = $_->{value} >= $_->{critical} ? 'critical'
	  : $_->{value} >= $_->{warning} ? 'warning' : 'normal';
	$wrong_level++ if $level ne $_->{level};
}
is($wrong_count, undef, 'reading_count has no gaps, whatever else a sensor sends');
is($wrong_level, undef, 'the level follows from value and thresholds');
is(join(',', map { scalar keys %{ $types{$_} } } sort keys %types),
	'12,12,12,12,12', 'sensors are spread over the types');
is(join(',', map { "$_=" . join('|', keys %{ $decimals{$_} }) }
	  sort keys %decimals),
	'energy=1,humidity=1,pressure=2,temperature=2,vibration=2',
	'values have the resolution of their type');
my @ts = map { $_->{ts} } @r;
is("@ts", "@{[sort @ts]}", 'event time never goes back');

# anomalies
my %high = (vibration => 1, energy => 1);    # no low limits
my $above = sub { $high{ $_[0]{type} } && $_[0]{level} ne 'normal' };
my @i = readings(qw(--sensors 60 --count 30000 --anomalies independent));
my @up = grep { $high{ $_->{type} } } @i;
my $critical = share(\@up, sub { $_[0]{value} >=
	$_[0]{critical} - 0.2 * ($_[0]{critical} - $_[0]{warning}) });
my $warning = share(\@up, sub { $_[0]{value} >=
	$_[0]{warning} - 0.4 * ($_[0]{critical} - $_[0]{warning}) }) - $critical;
cmp_ok(abs($critical - 0.05), '<', 0.01, "independent: critical share $critical");
cmp_ok(abs($warning - 0.15), '<', 0.02, "independent: warning share $warning");

# one change of level is one alarm more or less; per sensor and hour
sub changes
{
	my (@list) = @_;
	my (%level, $n);
	foreach (grep { $_->{type} eq 'vibration' } @list)
	{
		$n++ if ($level{ $_->{id} } // 'normal') eq 'normal'
		  && $_->{level} ne 'normal';
		$level{ $_->{id} } = $_->{level};
	}
	return $n;
}
my @e = readings(qw(--sensors 60 --count 30000));
my @n = readings(qw(--sensors 60 --count 30000 --anomalies none));
cmp_ok(changes(@i), '>', 5 * changes(@e),
	'episodes raise far fewer alarms than independent anomalies');
is(share(\@n, sub { $_[0]{level} ne 'normal' }), 0, 'none: no alarm at all');
my @long = readings(qw(--sensors 150 --count 60000 --sampling-interval 60));
my @hot = grep { $high{ $_->{type} } } @long;
my $busy = share(\@hot, sub { $_[0]{value} >=
	$_[0]{warning} - 0.4 * ($_[0]{critical} - $_[0]{warning}) });
cmp_ok(abs($busy - 0.19), '<', 0.05,
	"episodes: the same share of the time ($busy)");
my %touched = map { $_->{id} => 1 } grep { $_->{level} ne 'normal' } @long;
cmp_ok(keys %touched, '<=', 50, 'episodes: on a third of the sensors');

done_testing();
