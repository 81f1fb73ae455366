-- Load: the plans of one shard of a run.
-- Parameters: $run, $shard. Relation: new_plans (records.PLANS).
insert into plans (
    run, shard,
    image_id, rank, class, score, iterations, residual, regions, attributes, mass,
    similarity, passed_over
)
select
    $run, $shard,
    image_id, rank, class, score, iterations, residual, regions, attributes, mass,
    similarity, passed_over
from new_plans;
