-- Load: the plans of some shards of a run.
-- Parameters: $run. Relation: new_plans (shard, records.PLANS).
insert into plans (
    run, shard,
    image_id, rank, class, score, iterations, residual, regions, attributes, mass,
    similarity, passed_over, marginals
)
select
    $run, shard,
    image_id, rank, class, score, iterations, residual, regions, attributes, mass,
    similarity, passed_over, marginals
from new_plans;
