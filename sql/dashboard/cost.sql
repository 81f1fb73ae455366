-- What did a run fetch and encode itself, and how long did that take? One row; what was there from
-- an earlier run costs nothing and is not counted, except for scoring. Parameters: $run.
select
    coalesce(sum(labelled) filter (crops > 0), 0)::bigint as images,
    coalesce(sum(crops), 0)::bigint as crops,
    coalesce(sum(bytes), 0)::bigint as bytes,
    coalesce(sum(stage_seconds), 0) as stage_seconds,
    coalesce(sum(embed_seconds), 0) as embed_seconds,
    coalesce(sum(score_seconds), 0) as score_seconds
from shards
where run = $run;
