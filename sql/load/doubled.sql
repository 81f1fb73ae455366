-- Load: which shards that were loaded now hold an image that the run has in another shard too? The
-- shard that was finished last comes first. Parameters: $run.
with labelled as (
    select shard, image_id from predictions where predictions.run = $run
    union all
    select shard, image_id from rejects where rejects.run = $run
),
fresh as (
    select shard, finished_at from shards where shards.run = $run and shards.version is null
)
select
    f.shard,
    count(distinct l.image_id) as images,
    min(l.image_id) as example,
    min(o.shard) as other
from fresh as f
join labelled as l on l.shard = f.shard
join labelled as o on o.image_id = l.image_id and o.shard <> l.shard
group by f.shard, f.finished_at
order by f.finished_at desc, f.shard desc;
