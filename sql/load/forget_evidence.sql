-- Load: forget the evidence of some shards of a run, before they are loaded anew or refused.
-- Parameters: $run. Relation: forgotten (shard).
delete from evidence
where evidence.run = $run and evidence.shard in (select forgotten.shard from forgotten);
