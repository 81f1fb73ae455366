-- Load: forget the scores of some shards of a run, before they are loaded anew or refused.
-- Parameters: $run. Relation: forgotten (shard).
delete from scores
where scores.run = $run and scores.shard in (select forgotten.shard from forgotten);
