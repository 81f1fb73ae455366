-- Load: forget the predictions of some shards of a run, before they are loaded anew or refused.
-- Parameters: $run. Relation: forgotten (shard).
delete from predictions
where predictions.run = $run and predictions.shard in (select forgotten.shard from forgotten);
