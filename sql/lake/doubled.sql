-- Lake: which shards that are about to be added hold an image that the run has in another shard of
-- the lake? Parameters: $run. Relation: fresh (shard, image_id).
with labelled as (
    select shard, image_id from predictions where predictions.run = $run
    union all
    select shard, image_id from rejects where rejects.run = $run
)
select
    f.shard,
    count(distinct f.image_id) as images,
    min(f.image_id) as example,
    min(l.shard) as other
from labelled as l
join fresh as f on f.image_id = l.image_id and f.shard <> l.shard
group by f.shard
order by f.shard;
