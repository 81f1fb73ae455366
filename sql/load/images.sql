-- Load: the images of a shard, once for all runs over the archive.
-- Parameters: $archive, $shard. Relation: new_images (records.IMAGES).
insert into images (
    archive, shard, image_id, key, uri, size, version, digest, format, width, height, orientation,
    listed
)
select
    $archive, $shard, image_id, key, uri, size, version, digest, format, width, height, orientation,
    true
from new_images
where not exists (
    select 1 from images where images.archive = $archive and images.shard = $shard
);
