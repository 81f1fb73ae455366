-- Because of which attribute are classes confused? For every mistake whose true class was among the
-- best: the attribute that speaks most for the wrong class and is none of the true one's, and the
-- true class's attribute that was seen least. Needs truth.
set variable run = (from (select run from runs order by created desc, run limit 1));
with mistakes as (
    select p.shard, p.image_id, p.truth, p.label
    from labelled as p
    where p.run = getvariable('run') and p.listed and not p.correct
),
evidence_of as (
    select m.truth, m.label, m.image_id, e.class, e.attribute, e.similarity
    from mistakes as m
    join evidence as e on e.shard = m.shard and e.image_id = m.image_id
    where e.run = getvariable('run') and e.class in (m.label, m.truth)
),
misleading as (
    select truth, label, image_id, arg_max(attribute, similarity) as attribute
    from evidence_of as e
    where
        e.class = e.label
        and not exists (
            select 1
            from evidence_of as o
            where o.image_id = e.image_id and o.class = e.truth and o.attribute = e.attribute
        )
    group by truth, label, image_id
),
missed as (
    select truth, label, image_id, arg_min(attribute, similarity) as attribute
    from evidence_of
    where class = truth
    group by truth, label, image_id
)
select
    truth,
    label,
    count(*) as images,
    mode(misleading.attribute order by misleading.attribute) as misled_by,
    mode(missed.attribute order by missed.attribute) as did_not_see
from misleading
join missed using (truth, label, image_id)
group by truth, label
order by images desc, truth, label
limit 20;
