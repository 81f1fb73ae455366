-- Explain: which shards has a run? Parameters: $run.
select shard from shards where run = $run order by shard;
