-- Load: the scores of some shards of a run.
-- Parameters: $run. Relation: new_scores (shard, records.SCORES).
insert into scores (
    run, shard,
    image_id, rank, class, score, clip_score, dclip_score, crop_mean_score
)
select
    $run, shard,
    image_id, rank, class, score, clip_score, dclip_score, crop_mean_score
from new_scores;
