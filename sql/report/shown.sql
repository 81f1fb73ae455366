-- Report: which images does it show, and in which order? The temporary table `shown_images`, a row
-- per labelled image that is still listed: least certain first, with what it was called, the truth
-- where that is known, what people judged it to be (null: nobody judged it), and its three strongest
-- attributes. Images of a shard lie in parts of
-- $part_size. With a $limit: half of them the least certain, half drawn from the rest (in the order
-- of the image_id, which is a digest, so at random and always the same), and besides what was drawn
-- from the run for people to judge. `surer_than` is the share of the run's images (0..1) that have a
-- smaller margin.
-- Parameters: $run, $part_size, $limit (null: every image).
create or replace temp table shown_images as
with strongest as (
    select
        shard,
        image_id,
        list(attribute_index order by contribution desc, attribute_index)[:3] as strongest
    from evidence
    where run = $run and rank = 1
    group by shard, image_id
),
called as (
    select
        p.shard,
        p.image_id,
        i.key,
        p.label is null as abstained,
        s.class as guess,
        p.runner_up,
        s.score,
        p.margin,
        t.label as truth,
        case when v.key is not null then {'label': v.judged_label} end as judged,
        case when p.margin is not null then percent_rank() over (order by p.margin) end
            as surer_than,
        row_number() over (order by p.margin nulls last, p.image_id) as uncertainty
    from predictions as p
    join runs as r on r.run = p.run
    join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    join scores as s
        on s.run = p.run and s.shard = p.shard and s.image_id = p.image_id and s.rank = 1
    left join truth as t on t.archive = r.archive and t.key = i.key
    left join reviewed as v
        on v.archive = r.archive and v.key = i.key and v.digest = i.digest
    where p.run = $run and i.listed
),
drawn as (
    select
        *,
        $limit is null or uncertainty <= ceil($limit / 2) as among_least_certain,
        row_number() over (
            partition by $limit is null or uncertainty <= ceil($limit / 2) order by image_id
        ) as draw
    from called
)
select
    row_number() over (order by d.uncertainty) - 1 as position,
    d.shard,
    (row_number() over (partition by d.shard order by d.image_id) - 1) // $part_size as part,
    d.image_id,
    d.key,
    d.abstained,
    d.guess,
    d.runner_up,
    d.score,
    d.margin,
    d.surer_than,
    d.truth,
    d.judged,
    coalesce(g.strongest, []) as strongest
from drawn as d
left join strongest as g on g.shard = d.shard and g.image_id = d.image_id
where
    d.among_least_certain
    or d.draw <= floor($limit / 2)
    or d.image_id in (select image_id from samples where run = $run);
