-- Load: forget the shards of some shards of a run, before they are loaded anew or refused.
-- Parameters: $run. Relation: forgotten (shard).
delete from shards
where shards.run = $run and shards.shard in (select forgotten.shard from forgotten);
