-- Load: the images of some shards that a run could not use.
-- Parameters: $run. Relation: new_images (shard, records.IMAGES).
insert into rejects (run, shard, image_id, reason, detail)
select $run, shard, image_id, reason, detail
from new_images
where reason is not null;
