-- Load: forget the rejects of some shards of a run, before they are loaded anew or refused.
-- Parameters: $run. Relation: forgotten (shard).
delete from rejects
where rejects.run = $run and rejects.shard in (select forgotten.shard from forgotten);
