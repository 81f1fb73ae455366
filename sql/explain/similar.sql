-- Explain: which files are the images that are most like a sentence, and what were they called?
-- Parameters: $run. Relation: new_matches (shard, image_id and the columns of the answer).
select
    i.shard, i.image_id, i.key, i.uri, i.size, i.version, i.width, i.height,
    m.similarity, m.whole, m.region, m.left, m.top, m.right, m.bottom,
    l.label
from new_matches as m
join runs as r on r.run = $run
join images as i on i.archive = r.archive and i.shard = m.shard and i.image_id = m.image_id
left join predictions as l on l.run = $run and l.shard = m.shard and l.image_id = m.image_id
order by m.place;
