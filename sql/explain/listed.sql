-- Explain: which images of a run's shard are labelled and still listed? Parameters: $run, $shard.
select p.image_id
from predictions as p
join runs as r on r.run = p.run
join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
where p.run = $run and p.shard = $shard and i.listed;
