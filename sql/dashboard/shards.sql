-- What did every shard of a run hold and cost? Slowest first. Parameters: $run, $how_many.
select
    shard,
    listed,
    labelled,
    rejected,
    round(coalesce(stage_seconds, 0), 1) as stage_seconds,
    round(coalesce(embed_seconds, 0), 1) as embed_seconds,
    round(coalesce(score_seconds, 0), 1) as score_seconds,
    crops,
    bytes
from shards
where run = $run
order by coalesce(embed_seconds, 0) + coalesce(score_seconds, 0) desc, shard
limit $how_many;
