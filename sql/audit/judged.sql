-- Audit: what is known of every image of a sample, and what does a run call it? `label` is null
-- where the run abstained, or has no such image any more. `by_chance`: somebody judged it because a
-- sample was drawn, rather than because somebody chose it.
-- Parameters: $run, $sample.
select
    s.stratum,
    s.population,
    v.key is not null as judged,
    c.key is not null as by_chance,
    v.agreed,
    p.label,
    p.label is not distinct from v.judged_label as correct
from samples as s
left join reviewed as v on v.archive = s.archive and v.key = s.key and v.digest = s.digest
left join (select distinct archive, key, digest from reviews where sample is not null) as c
    on c.archive = s.archive and c.key = s.key and c.digest = s.digest
left join (
    select i.archive, i.key, i.digest, p.label
    from predictions as p
    join runs as r on r.run = p.run
    join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    where p.run = $run and i.listed
) as p on p.archive = s.archive and p.key = s.key and p.digest = s.digest
where s.sample = $sample
order by s.stratum, s.key, s.image_id;
