
# History files that programs keep: archive_command and restore_command, with a
# stand-in for the tools of an object store that can also fail, hang and damage
# what it is given.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use FactorymonArchive;
use FactorymonTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = archive_folder();
my $bucket = PostgreSQL::Test::Utils::tempdir() . '/bucket';
my $store = "$bucket.sh";
mkdir $bucket or die "$bucket: $!";
put_file($store, <<"STORE");
#!/bin/sh
# store put PATH NAME, store get NAME PATH
echo "what it says otherwise" >&2
case \$(cat $bucket.mode) in
fail) echo "no such bucket: ä" >&2; exit 3 ;;
hang) echo \$\$ >$bucket.pid; sleep 600 & echo \$! >>$bucket.pid; trap '' TERM; wait; wait ;;
damage) [ \$1 = get ] || { tr a-m n-z <"\$2" >"$bucket/\$3"; exit; } ;;
flood) yes ;;
esac
if [ \$1 = put ]; then cp "\$2" "$bucket/\$3"; else cp "$bucket/\$2" "\$3"; fi
STORE
chmod 0755, $store;
sub mode { my ($mode) = @_; return put_file("$bucket.mode", "$mode\n") }
mode('fail');

my ($node, $broker) = archive_plant(conf =>
	"factorymon.archive_command = '$store put %p %f'\n"
	  . "factorymon.restore_command = '$store get %f %p'\n"
	  . "factorymon.archive_command_timeout = '1s'\n");
my $before = archive_sum($node);

sub fails_with
{
	my ($error, $name) = @_;

	archive_turn($node);
	return ok(poll_until($node, q{SELECT string_agg(error, ' ') FROM factorymon.archives
		WHERE state = 'failed' AND retry_at IS NOT NULL}, $error), $name);
}

# --- what it says is seen, and nothing is dropped ------------------------------
archive_turn($node);
sql($node, "SELECT factorymon.alter_pipeline('plant / ä', retention => '1 day')");
fails_with(qr/could not store archive file "factory_plant.*\.csv\.gz": archive_command failed with exit code 3: no such bucket: \?\?/,
	'a program that fails, with what it said last');
mode('hang');
fails_with(qr/archive_command took longer than 1 s/, 'a program that hangs');
ok(poll_while('it to hang again', sub {
	archive_turn($node);
	return sql($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'factorymon archiver'
		AND xact_start < clock_timestamp() - interval '300 ms' AND backend_xmin IS NULL}) }),
	'keeps nobody from cleaning up meanwhile');
mode('damage');
ok(poll_while('what hung to be gone', sub {
	return 0 unless -s "$bucket.pid";
	return !grep { kill 0, $_ } split ' ', slurp_file("$bucket.pid") }),
	'it and what it started are ended');
fails_with(qr/what archive_command stored is not there: archive file ".*" is damaged/,
	'a program that damages what it is given');
is(archive_total($node), 4000, 'nothing was dropped');
is(sql($node, q{SELECT count(*) FROM factorymon.archives WHERE state = 'archived'}), 0,
	'and nothing counts as archived');

# --- stored, dropped, compared, restored ---------------------------------------
mode('work');
ok(poll_while('all to be archived and dropped', sub {
	archive_turn($node); return archive_total($node) == 0 }), 'once it works all is stored, and dropped');
ok(poll_while('the last file to leave', sub { return !(() = glob "$folder/*") }),
	'the folder is empty');
my @files = glob "$bucket/*.csv.gz";
is(scalar(@files), sql($node, q{SELECT count(*) FROM factorymon.archives WHERE state = 'archived'}),
	'the store has all files');
is(scalar(() = glob "$bucket/*.manifest.json"), scalar @files, 'with their manifests');
sub problems
{
	return sql($node, q{SELECT coalesce(string_agg(problem, ' '), '')
		FROM factorymon.verify_archive('plant / ä') WHERE problem IS NOT NULL});
}
is(problems(), '', 'all are as they were written');
my ($file) = sort { -s $b <=> -s $a } @files;
my $good = slurp_file($file);
(my $short = $file) =~ s{.*/}{};
put_file($file, substr($good, 0, -1));
like(problems(), qr/^archive file ".*\Q$short\E.*" is damaged$/, 'one that is not is named');
unlink $file;
like(problems(), qr/^archive file "\Q$short\E" could not be fetched: restore_command failed with exit code 1: cp: .*No such file/,
	'and one that is gone');
my ($rc, undef, $err) = $node->psql('factory', "SELECT factorymon.restore_archive('plant / ä', file => '$short')");
like($err, qr/cannot restore: archive file "\Q$short\E" could not be fetched/, 'it cannot be restored');
mode('hang');
like(problems(), qr/restore_command took longer than 1 s/, 'fetching may hang, but not for ever');
mode('flood');
like(problems(), qr/restore_command took longer than 1 s/, 'so may talking');
unlink "$bucket.pid";
$node->append_conf('postgresql.conf', "factorymon.archive_command_timeout = '10min'\n");
$node->reload;
ok(poll_until($node, 'SHOW factorymon.archive_command_timeout', '10min'), 'there is time');
mode('hang');
my $asker = FactorymonTest::Process->start([ 'psql', '-X', '-d', $node->connstr('factory'),
	'-c', q{SELECT factorymon.verify_archive('plant / ä')} ], name => 'asker');
ok(poll_while('it to hang', sub { return -s "$bucket.pid"
	&& 2 == split ' ', slurp_file("$bucket.pid") }), 'a session waits for a program');
is(sql($node, q{SELECT count(*) FROM (SELECT FROM _factorymon.archive FOR UPDATE NOWAIT) x}),
	scalar @files, 'and keeps no row from others meanwhile');
sql($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE query LIKE '%verify_archive%' AND pid <> pg_backend_pid()});
isnt($asker->wait->{rc}, 0, 'it is terminated');
ok(poll_while('its program to be gone', sub {
	return !grep { kill 0, $_ } split ' ', slurp_file("$bucket.pid") }), 'and the program with it');
mode('work');
put_file($file, $good);
is(sql($node, q{SELECT factorymon.restore_archive('plant / ä', '-infinity', now() - interval '2 days')}),
	4000, 'all are restored');
is(archive_sum($node), $before, 'every column of every row is what it was');
is(scalar(() = glob "$folder/*"), 0, 'nothing that was fetched is left');

# --- settings --------------------------------------------------------------------
$node->append_conf('postgresql.conf', "factorymon.restore_command = ''\n");
$node->reload;
ok(poll_until($node, 'SHOW factorymon.restore_command', ''), 'without restore_command');
like(problems(), qr/archive file ".*" cannot be read: No such file/, 'files are looked for in the folder');
sql($node, 'CREATE ROLE somebody LOGIN');
(undef, undef, $err) = $node->psql('factory', 'SHOW factorymon.archive_command',
	extra_params => [ '-U', 'somebody' ]);
like($err, qr/must be|permission denied/, 'the commands, which may have secrets, are not for everybody');
(undef, undef, $err) = $node->psql('factory', "SET factorymon.archive_command = 'true'");
like($err, qr/cannot be changed now/, 'nor for a session');

$node->stop;
$broker->stop;
done_testing();
