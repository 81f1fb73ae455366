-- Load: the images of one shard that a run could not use.
-- Parameters: $run, $shard. Relation: new_images (records.IMAGES).
insert into rejects (run, shard, image_id, reason, detail)
select $run, $shard, image_id, reason, detail
from new_images
where reason is not null;
