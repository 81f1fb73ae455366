-- Which classes changed between the two latest runs? Images that each run calls so, those that both
-- do, and how many came and went; the largest change first.
set variable run_a = (from (select run from runs order by created desc, run limit 1 offset 1));
set variable run_b = (from (select run from runs order by created desc, run limit 1));
with pairs as (
    select a.best_guess as before, b.best_guess as after
    from labelled as a
    join labelled as b on b.shard = a.shard and b.image_id = a.image_id
    where a.run = getvariable('run_a') and b.run = getvariable('run_b') and a.listed
),
classes as (
    select before as class from pairs
    union
    select after from pairs
)
select
    c.class,
    count(*) filter (p.before = c.class) as before,
    count(*) filter (p.after = c.class) as after,
    count(*) filter (p.before = c.class and p.after = c.class) as stayed,
    count(*) filter (p.before <> c.class and p.after = c.class) as came,
    count(*) filter (p.before = c.class and p.after <> c.class) as went
from classes as c
join pairs as p on p.before = c.class or p.after = c.class
group by c.class
order by came + went desc, c.class
limit 20;
