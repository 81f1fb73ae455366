-- A few predictions to look at, each with the attributes that carried it most: the surest, the least
-- certain, and what lies between, evenly. No label: abstained. Parameters: $run, $how_many.
with ranked as (
    select
        p.run,
        p.image_id,
        i.key,
        p.label,
        p.score,
        p.margin,
        t.label as truth,
        row_number() over (order by p.margin desc, p.image_id) - 1 as place,
        count(*) over () as images
    from predictions as p
    join runs as r on r.run = p.run
    join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    left join truth as t on t.archive = r.archive and t.key = i.key
    where p.run = $run
),
chosen as (
    select *
    from ranked
    qualify row_number() over (
        partition by floor(place * $how_many::double / images) order by place
    ) = 1
)
select
    c.key,
    c.label,
    e.class as best_guess,
    round(c.score, 3) as score,
    round(c.margin, 3) as margin,
    c.truth,
    list(e.attribute order by e.similarity desc, e.attribute_index)[:3] as strongest
from chosen as c
join evidence as e on e.run = c.run and e.image_id = c.image_id and e.rank = 1
group by all
order by margin desc;
