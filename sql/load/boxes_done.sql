-- Load: for which shards are the boxes in the warehouse already? No parameters.
select distinct encoder, regions, shard
from runs
join shards using (run);
