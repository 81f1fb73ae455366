-- Which images should a person look at first? The closest calls, each with the strongest attribute
-- of its best class that the runner-up does not have, and the other way round.
set variable run = (from (select run from runs order by created desc, run limit 1));
with closest as (
    select run, shard, image_id, key, best_guess, runner_up, margin
    from labelled
    where run = getvariable('run') and listed
    order by margin, key
    limit 20
),
apart as (
    select e.image_id, e.rank, e.attribute, e.contribution
    from closest as c
    join evidence as e on e.run = c.run and e.shard = c.shard and e.image_id = c.image_id
    where e.rank <= 2
    qualify count(*) over (partition by e.image_id, e.attribute) = 1
)
select
    c.key,
    c.best_guess,
    c.runner_up,
    round(c.margin, 4) as margin,
    arg_max(a.attribute, a.contribution) filter (a.rank = 1) as speaks_for_it,
    arg_max(a.attribute, a.contribution) filter (a.rank = 2) as speaks_for_the_other
from closest as c
left join apart as a on a.image_id = c.image_id
group by all
order by min(c.margin), c.key;
