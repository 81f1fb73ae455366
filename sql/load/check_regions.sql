-- Load: do the boxes of a shard belong to its embedded images, numbered 0..M without a gap? A row
-- for everything that does not add up.
-- Relations: new_images (records.IMAGES), new_regions (records.regions without its vectors).
with boxed as (
    select image_id, count(*) as boxes, count(distinct region) as different, max(region) as last
    from new_regions
    group by image_id
),
checks as (
    select
        'embedded images against those among them with boxes' as checked,
        (select count(*) from new_images where reason is null) as expected,
        (
            select count(*)
            from boxed
            where image_id in (select image_id from new_images where reason is null)
        ) as found
    union all
    select 'images with boxes against those numbered without a gap',
        count(*), count(*) filter (boxes = different and boxes = last + 1)
    from boxed
)
select checked, expected, found from checks where expected <> found;
