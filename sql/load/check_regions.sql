-- Load: do the boxes of some shards belong to their embedded images, numbered 0..M without a gap? A
-- row for everything that does not add up.
-- Relations: new_images (shard, records.IMAGES), new_regions (shard, records.regions without its
-- vectors).
with boxed as (
    select shard, image_id, count(*) as boxes, max(region) as last,
        bit_count(bitstring_agg(region, 0, 1000)) = count(*) as different
    from new_regions
    group by shard, image_id
),
compared as (
    select
        coalesce(i.shard, b.shard) as shard,
        count(*) filter (i.image_id is not null) as embedded,
        count(*) filter (i.image_id is not null and b.image_id is not null) as with_boxes,
        count(b.image_id) as boxed,
        count(*) filter (b.different and b.last = b.boxes - 1) as numbered
    from (select shard, image_id from new_images where reason is null) as i
    full join boxed as b on b.shard = i.shard and b.image_id = i.image_id
    group by all
),
checks as (
    select
        shard,
        unnest([
            'embedded images against those among them with boxes',
            'images with boxes against those numbered without a gap'
        ]) as checked,
        unnest([embedded, boxed]) as expected,
        unnest([with_boxes, numbered]) as found
    from compared
)
select shard, checked, expected, found from checks where expected <> found order by shard;
