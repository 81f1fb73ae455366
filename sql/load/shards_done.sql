-- Load: which shards of a run are in the warehouse already? Parameters: $run.
select shard from shards where shards.run = $run;
