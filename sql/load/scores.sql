-- Load: the scores of one shard of a run.
-- Parameters: $run, $shard. Relation: new_scores (records.SCORES).
insert into scores (
    run, shard,
    image_id, rank, class, score, clip_score, dclip_score, crop_mean_score
)
select
    $run, $shard,
    image_id, rank, class, score, clip_score, dclip_score, crop_mean_score
from new_scores;
