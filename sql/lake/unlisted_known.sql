-- Lake: what is known of images that are no longer listed, in the form of `unlisted_table.sql`. No
-- parameters.
select archive, shard, image_id
from read_parquet(getvariable('lake_unlisted'));
