-- Which images show best how a run decides? The surest one, a usual one, the closest call, by
-- margin (by score where there is one class); never one twice. Only images that are still listed.
-- Parameters: $run.
with called as (
    select p.image_id, coalesce(p.margin, p.score) as ahead
    from predictions p
    join runs r on r.run = p.run
    join images i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    where p.run = $run and i.listed
),
usual as (select quantile_disc(ahead, 0.5) as ahead from called),
chosen as (
    select 1 as place, 'surest' as name, arg_max(image_id, (ahead, image_id)) as image_id
    from called
    union all
    select 2, 'usual', arg_min(image_id, (abs(called.ahead - usual.ahead), image_id))
    from called, usual
    union all
    select 3, 'closest', arg_min(image_id, (ahead, image_id))
    from called
)
select arg_min(name, place) as name, image_id
from chosen
where image_id is not null
group by image_id
order by min(place);
