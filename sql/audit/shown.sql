-- Audit: what is a person told of the drawn images? What the run says of each, with the attributes
-- that carried its best class most; in random order (an image_id is a digest), so that a sheet that
-- is judged in part stands for all.
-- Parameters: $run. Relation: new_samples (records.SAMPLES).
select
    d.sample,
    d.run,
    d.image_id,
    d.key,
    i.uri,
    d.label,
    round(p.score::double, 4) as score,
    round(p.margin::double, 4) as margin,
    p.runner_up,
    list(e.attribute order by e.similarity desc, e.attribute_index)[:3] as strongest,
    d.population / d.drawn as weight
from new_samples as d
join runs as r on r.run = $run
join predictions as p on p.run = r.run and p.image_id = d.image_id
join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = d.image_id
join evidence as e
    on e.run = r.run and e.shard = p.shard and e.image_id = d.image_id and e.rank = 1
group by all
order by d.image_id;
