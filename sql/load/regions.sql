-- Load: the boxes of a shard, one list per image, once for all runs that share the embeddings.
-- Parameters: $encoder, $regions, $shard. Relation: new_regions (records.regions without its
-- vectors).
insert into regions (encoder, regions, shard, image_id, boxes)
select
    $encoder,
    $regions,
    $shard,
    image_id,
    list({'left': "left", 'top': top, 'right': "right", 'bottom': bottom} order by region)
from new_regions
where not exists (
    select 1
    from regions
    where regions.encoder = $encoder and regions.regions = $regions and regions.shard = $shard
)
group by image_id;
