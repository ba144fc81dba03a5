# FactorymonPrometheus.pm: Debian's Prometheus, with the configuration that is
# shipped, in tests; and a plant for it to look at.
#
#	use FactorymonPrometheus;
#
#	my ($broker, $node) = start_plant();
#	my $dashboard = start_dashboard($node, role => 'watcher');
#	my $prometheus = start_prometheus($program, $dashboard);
#	$prometheus->comes_to('up', 'job', 'factorymon=1', 'it is scraped');
#	$prometheus->stop;
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License

package FactorymonPrometheus;

use strict;
use warnings;

use Exporter 'import';
use FactorymonCheck;
use FactorymonTest;
use File::Copy ();
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(free_port start_plant start_prometheus);

# A port that nobody listens at.
sub free_port
{
	my $listener = IO::Socket::INET->new(
		Listen => 1,
		LocalAddr => '127.0.0.1') or die "listen: $!\n";

	return $listener->sockport;
}

# start_plant(): a broker, and a node with a pipeline, where every temperature is
# critical, and with a role "watcher" that may read.
sub start_plant
{
	my $broker = start_broker(topics => ['sensor-data:3']);
	my $node = new_node();

	create_pipeline($node, $broker, workers => 1, options => quick_options(),
		alert_topic => '');
	sql($node, <<'QUERY');
CREATE ROLE watcher LOGIN;
SELECT factorymon.grant_access('reader', 'watcher');
INSERT INTO factorymon.threshold (sensor_type, critical_high)
VALUES ('temperature', -50);
QUERY
	return ($broker, $node);
}

# start_prometheus($program, $dashboard [, $alertmanager_port])
#
# The shipped configuration, but for addresses, and in a hurry: once a second
# instead of every ten.
sub start_prometheus
{
	my ($program, $dashboard, $alertmanager) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $shipped = FactorymonTest::repo_path('docker/prometheus');
	my $port = free_port();
	my $config = PostgreSQL::Test::Utils::slurp_file("$shipped/prometheus.yml");
	my %address = (
		'dashboard:5000' => '127.0.0.1:' . $dashboard->port,
		# nobody listens at the port "discard"
		'alertmanager:9093' => '127.0.0.1:' . ($alertmanager // 9));

	foreach (keys %address)
	{
		$config =~ s/\Q$_\E/$address{$_}/g or die "there is no $_\n";
	}
	$config =~ s/_interval: 10s$/_interval: 1s/mg == 2
	  or die "there are other intervals\n";
	append_to_file("$folder/prometheus.yml", $config);
	File::Copy::copy("$shipped/rules.yml", $folder) or die "rules.yml: $!\n";
	my $process = FactorymonTest::Process->start([
			$program, "--config.file=$folder/prometheus.yml",
			"--storage.tsdb.path=$folder/data",
			"--web.listen-address=127.0.0.1:$port"
		], name => 'prometheus');
	return bless { process => $process, port => $port }, __PACKAGE__;
}

sub stop { my ($self) = @_; return $self->{process}->stop }

# ask($query, $label): values of a query, the label before each.
sub ask
{
	my ($self, $query, $label) = @_;
	my $answer = HTTP::Tiny->new(timeout => 10)->post_form(
		"http://127.0.0.1:$self->{port}/api/v1/query", { query => $query });

	return '' unless $answer->{status} == 200;
	return join ' ', sort
	  map { ($_->{metric}{$label} // '') . "=$_->{value}[1]" }
	  @{ decode_json($answer->{content})->{data}{result} };
}

# comes_to($query, $label, $expected, $name): a test
sub comes_to
{
	my ($self, $query, $label, $expected, $name) = @_;
	my $last;

	return ok(
		FactorymonTest::poll_while(
			$name,
			sub { ($last = $self->ask($query, $label)) eq $expected }),
		$name) || diag "last: $last";
}

1;
