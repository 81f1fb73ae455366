-- Load: which shards of a run are in the warehouse already, and as which version of their completion
-- marker? The time is in microseconds since 1970, UTC. Parameters: $run.
select shard, version, epoch_us(finished_at) as finished, listed, labelled, rejected
from shards
where shards.run = $run;
