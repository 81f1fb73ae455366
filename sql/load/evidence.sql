-- Load: the evidence of one shard of a run.
-- Parameters: $run, $shard. Relation: new_evidence (records.EVIDENCE).
insert into evidence (
    run, shard,
    image_id, rank, class, attribute_index, attribute, contribution, similarity,
    best_region, best_share
)
select
    $run, $shard,
    image_id, rank, class, attribute_index, attribute, contribution, similarity,
    best_region, best_share
from new_evidence;
