-- Report: the shown images of one shard as the archive's listing told them, to be fetched.
-- Reads `shown_images`. Parameters: $run, $shard.
select i.image_id, i.key, i.uri, i.size, i.version
from shown_images as v
join runs as r on r.run = $run
join images as i on i.archive = r.archive and i.shard = v.shard and i.image_id = v.image_id
where v.shard = $shard
order by i.image_id;
