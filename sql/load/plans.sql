-- Load: the plans of one shard of a run.
-- Parameters: $run, $shard. Relation: new_plans (records.PLANS).
insert into plans (
    run, shard,
    image_id, rank, class, score, iterations, residual, regions, attributes, mass,
    similarity
)
select
    $run, $shard,
    image_id, rank, class, score, iterations, residual, regions, attributes, mass,
    similarity
from new_plans;
