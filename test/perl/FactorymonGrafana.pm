# FactorymonGrafana.pm: what Grafana does with the queries of dashboards before
# it sends them, so that tests can send them without Grafana.
#
#	use FactorymonGrafana;
#
#	my $sql = grafana_sql($target->{rawSql}, from => $epoch, to => $epoch,
#		interval => '1m', variables => { zone => [ 'zone-a', 'zone-b' ] });
#	my $expr = grafana_promql($target->{expr}, variables => { ... });
#	my $text = grafana_expand($text, \%environment);
#
# The browser replaces variables and $__interval; the server expands macros, by
# a regular expression, so an argument has no parenthesis.  What is known of
# neither is an error.  Facts: Grafana's documentation of the data source, and
# pkg/tsdb/grafana-postgresql-datasource/macros.go at 02ab314b,
# pkg/services/provisioning/values/values.go at 03d9862a.
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonGrafana;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();

our @EXPORT = qw(grafana_expand grafana_promql grafana_sql);

my %seconds = (s => 1, m => 60, h => 3600, d => 86400);

sub _timestamp { return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }

sub _interval
{
	my ($text) = @_;

	$text =~ /^'?(\d+)([smhd])'?$/ or die "\"$text\" is no interval\n";
	return $1 * $seconds{$2};
}

# Of $__timeGroup(): how rows that are missing are filled in, if at all.
sub _check_fill
{
	my ($fill) = @_;

	!defined $fill || $fill =~ /^(NULL|previous|-?\d+(\.\d+)?)$/
	  or die "\"$fill\" does not fill anything\n";
	return;
}

my %macros = (
	__time => sub { return "$_[1] AS \"time\"" },
	__timeFilter => sub {
		my ($opt, $column) = @_;
		return "$column BETWEEN '" . _timestamp($opt->{from}) . "' AND '"
		  . _timestamp($opt->{to}) . "'";
	},
	__timeFrom => sub { return "'" . _timestamp($_[0]{from}) . "'" },
	__timeTo => sub { return "'" . _timestamp($_[0]{to}) . "'" },
	__timeGroup => sub {
		my ($opt, $column, $interval, $fill) = @_;
		my $width = _interval($interval);

		_check_fill($fill);
		return "floor(extract(epoch from $column)/$width)*$width";
	});
$macros{__timeGroupAlias} = sub {
	return $macros{__timeGroup}->(@_) . ' AS "time"';
};

sub _macro
{
	my ($opt, $name, $arguments) = @_;
	my $macro = $macros{$name} or die "there is no macro \"\$$name\"\n";
	my @arguments = map { s/^ +| +$//gr } split /,/, $arguments;

	return $macro->($opt, @arguments);
}

sub _value
{
	my ($opt, $name) = @_;

	return $opt->{variables}{$name} // die "there is no variable \"$name\"\n";
}

sub grafana_sql
{
	my ($sql, %opt) = @_;

	$sql =~ s/\$\{(\w+):sqlstring\}/
		join ',', map { "'" . s{'}{''}gr . "'" } @{ _value(\%opt, $1) }/gex;
	$sql =~ s/\$__interval\b/$opt{interval}/g;
	# Followed by a comma, it names its column, too.
	$sql =~ s/\$__timeGroup(\([^)]*\)),/\$__timeGroupAlias$1,/g;
	$sql =~ s/\$([_a-zA-Z0-9]+)\(([^)]*)\)/_macro(\%opt, $1, $2)/ge;
	die "not expanded: $1\n" if $sql =~ /(\$[\w{]\S*|\[\[\S*)/;
	return $sql;
}

# A list becomes alternatives of a regular expression.
sub grafana_promql
{
	my ($expr, %opt) = @_;

	$expr =~ s/\$__rate_interval\b/1m/g;
	$expr =~ s/\$(\w+)/'(' . join('|', @{ _value(\%opt, $1) }) . ')'/ge;
	return $expr;
}

# $NAME and ${NAME} from the environment, "" if they are not there; $$ is one $.
# What comes out is not looked at again.
sub grafana_expand
{
	my ($text, $environment) = @_;

	die "more than the environment is expanded: $text\n" if $text =~ /\$__/;
	return join '$',
	  map { s/\$(?:\{(\w+)\}|(\w+))/$environment->{ $1 \/\/ $2 } \/\/ ''/ger }
	  split /\$\$/, $text, -1;
}

1;
