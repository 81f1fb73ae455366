-- Load: what one run could read of an image that another run had rejected (a higher pixel limit, a
-- store that was unreachable), and notes of decoding where an older lazsl made none. Changes nothing
-- else, so the order of the runs does not matter.
-- Parameters: $archive. Relation: new_images (shard, records.IMAGES).
update images
set
    digest = coalesce(images.digest, new_images.digest),
    format = coalesce(images.format, new_images.format),
    width = coalesce(images.width, new_images.width),
    height = coalesce(images.height, new_images.height),
    orientation = coalesce(images.orientation, new_images.orientation),
    notes = coalesce(
        images.notes, nullif(new_images.notes, 'colours as an older lazsl read them')
    )
from new_images
where images.archive = $archive
    and images.shard = new_images.shard
    and images.image_id = new_images.image_id
    and new_images.digest is not null
    and (
        (images.width is null and (new_images.width is not null or images.digest is null))
        or (images.notes is null and new_images.notes is not null)
    );
