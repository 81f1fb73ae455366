-- Load: the images of some shards, once for all runs over the archive.
-- Parameters: $archive. Relations: new_shards (shard), new_images (shard, records.IMAGES).
insert into images (
    archive, shard, image_id, key, uri, size, version, digest, format, width, height, orientation,
    notes, listed
)
select
    $archive, shard, image_id, key, uri, size, version, digest, format, width, height, orientation,
    nullif(notes, 'colours as an older lazsl read them'), true
from new_images
where shard not in (
    select i.shard
    from images as i
    join new_shards as s on s.shard = i.shard
    where i.archive = $archive
);
