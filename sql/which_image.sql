-- Which image of a run is meant by a key or an image_id, and why was it rejected, if it was?
-- Parameters: $run, $image.
select i.shard, i.image_id, x.detail
from image_of($run, $image) as i
left join rejects as x on x.run = $run and x.shard = i.shard and x.image_id = i.image_id;
