-- Load: the evidence of some shards of a run.
-- Parameters: $run. Relation: new_evidence (shard, records.EVIDENCE).
insert into evidence (
    run, shard,
    image_id, rank, class, attribute_index, attribute, contribution, similarity,
    best_region, best_share, presence
)
select
    $run, shard,
    image_id, rank, class, attribute_index, attribute, contribution, similarity,
    best_region, best_share, presence
from new_evidence;
