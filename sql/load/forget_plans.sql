-- Load: forget the plans of some shards of a run, before they are loaded anew or refused.
-- Parameters: $run. Relation: forgotten (shard).
delete from plans
where plans.run = $run and plans.shard in (select forgotten.shard from forgotten);
