-- Load: the boxes of some shards, one list per image, once for all runs that share the embeddings.
-- Parameters: $encoder, $regions. Relations: new_shards (shard), new_regions (shard, records.regions
-- without its vectors).
insert into regions (encoder, regions, shard, image_id, boxes)
select
    $encoder,
    $regions,
    shard,
    image_id,
    list({'left': "left", 'top': top, 'right': "right", 'bottom': bottom} order by region)
from new_regions
where shard not in (
    select g.shard
    from regions as g
    join new_shards as s on s.shard = g.shard
    where g.encoder = $encoder and g.regions = $regions
)
group by shard, image_id
order by shard, image_id;
