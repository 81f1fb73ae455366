-- Load: the predictions of some shards of a run.
-- Parameters: $run. Relation: new_predictions (shard, records.PREDICTIONS).
insert into predictions (
    run, shard,
    image_id, label, score, runner_up, margin, kept, clip_label, clip_score, dclip_label,
    dclip_score, crop_mean_label, crop_mean_score, confidence, abstained, seen, doubt, presence,
    gap, parent_label, parent_chance, parent_level, shown, shown_strength
)
select
    $run, shard,
    image_id, label, score, runner_up, margin, kept, clip_label, clip_score, dclip_label,
    dclip_score, crop_mean_label, crop_mean_score, confidence, abstained, seen, doubt, presence,
    gap, parent_label, parent_chance, parent_level, shown, shown_strength
from new_predictions;
