-- Report: which parts of which shards does it show? One row per data file of images.
-- Reads `shown_images`. No parameters.
select shard, part, count(*) as images from shown_images group by shard, part order by shard, part;
