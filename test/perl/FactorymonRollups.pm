
# FactorymonRollups - what minutes, hours and days have to be, by SQL that is
# independent of them

package FactorymonRollups;

use strict;
use warnings;

use Exporter 'import';
use FactorymonTest;

our @EXPORT = qw(rollup_begins rollup_differences rollups_settled);

# ($level, $begin [, $from]): a query for buckets (from one on) that are not as rows
# say: each is on one side only.
sub rollup_differences
{
	my ($level, $begin, $from) = @_;

	$from //= '-infinity';

	return <<"QUERY";
WITH kept AS (
	SELECT bucket, sensor_id, pipeline, n, min, max, first, last, n_normal,
			n_warning, n_critical, n_bad,
			round(avg::numeric, 9) AS avg, round(stddev::numeric, 7) AS stddev
		FROM factorymon.readings_$level
		WHERE bucket >= '$from'),
wanted AS (
	SELECT $begin AS bucket, r.sensor_id, r.pipeline,
			count(*) FILTER (WHERE g) AS n, min(value) FILTER (WHERE g),
			max(value) FILTER (WHERE g),
			(array_agg(value ORDER BY ts, stream, kafka_offset, reading_index)
				FILTER (WHERE g))[1] AS first,
			(array_agg(value ORDER BY ts DESC, stream DESC, kafka_offset DESC,
				reading_index DESC) FILTER (WHERE g))[1] AS last,
			count(*) FILTER (WHERE g AND level = 'normal') AS n_normal,
			count(*) FILTER (WHERE g AND level = 'warning') AS n_warning,
			count(*) FILTER (WHERE g AND level = 'critical') AS n_critical,
			count(*) FILTER (WHERE NOT g) AS n_bad,
			round((avg(value) FILTER (WHERE g))::numeric, 9) AS avg,
			round((stddev_samp(value) FILTER (WHERE g))::numeric, 7) AS stddev
		FROM (SELECT x.*, coalesce(x.quality, 1) >= 0.5 AS g, s.stream_id AS stream
			FROM factorymon.sensor_readings x
			JOIN _factorymon.stream s ON s.topic = x.topic
				AND s.kafka_partition = x.kafka_partition
				AND s.incarnation = x.incarnation
			JOIN _factorymon.pipeline p ON p.pipeline_id = s.pipeline_id
				AND p.name = x.pipeline) AS r
		WHERE $begin >= '$from'
		GROUP BY 1, 2, 3)
(SELECT 'kept', * FROM (TABLE kept EXCEPT ALL TABLE wanted) a)
UNION ALL
(SELECT 'wanted', * FROM (TABLE wanted EXCEPT ALL TABLE kept) b)
ORDER BY 2, 3, 1 LIMIT 6
QUERY
}

# ($zone): by level, the begin of the bucket of a reading in a time zone.
sub rollup_begins
{
	my ($zone) = @_;

	return (
		'1m' => "date_trunc('minute', ts)",
		'1h' => "date_trunc('hour', ts, '$zone')",
		'1d' => "date_trunc('day', ts, '$zone')");
}

# What was catching up is stored as minutes, up to the last one or two.
sub rollups_settled
{
	my ($node) = @_;

	return poll_until($node, <<'QUERY', 't');
SELECT count(*) = 0
FROM _factorymon.rollup_stream AS q
	CROSS JOIN LATERAL (SELECT max(r.ts) AS ts FROM _factorymon.reading AS r
		WHERE r.stream_id = q.stream_id AND r.flags & 32 = 0) AS x
WHERE q.pending_from < date_trunc('minute', x.ts) - interval '1 minute'
QUERY
}

1;
