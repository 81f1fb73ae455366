-- Load: the rows of some shards of a run, which say that everything of them is there.
-- Parameters: $run.
-- Relation: new_shards (shard and the counts, seconds and time of its completion marker; rows of its
-- scores, evidence and plans; `finished` in ISO 8601 with its offset).
insert into shards (
    run, shard, listed, labelled, rejected, score_rows, evidence_rows, plan_rows, stage_seconds,
    embed_seconds, score_seconds, crops, bytes, finished_at
)
select
    $run,
    shard,
    listed,
    labelled,
    rejected,
    scores_rows,
    evidence_rows,
    plans_rows,
    stage_seconds,
    embed_seconds,
    score_seconds,
    crops,
    bytes,
    timezone('UTC', finished::timestamptz)
from new_shards;
