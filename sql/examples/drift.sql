-- Which classes changed between the two latest runs? Images that each run calls so, those that both
-- do, and how many came and went; the largest change first.
set variable run_a = (from (select run from runs order by created desc, run limit 1 offset 1));
set variable run_b = (from (select run from runs order by created desc, run limit 1));
with pairs as (
    select a.best_guess as before, b.best_guess as after, count(*) as images
    from labelled as a
    join guesses as b on b.shard = a.shard and b.image_id = a.image_id
    where a.run = getvariable('run_a') and b.run = getvariable('run_b') and a.listed
    group by a.best_guess, b.best_guess
),
classes as (
    select before as class from pairs
    union
    select after from pairs
)
select
    c.class,
    coalesce(sum(p.images) filter (p.before = c.class), 0)::bigint as before,
    coalesce(sum(p.images) filter (p.after = c.class), 0)::bigint as after,
    coalesce(sum(p.images) filter (p.before = c.class and p.after = c.class), 0)::bigint as stayed,
    coalesce(sum(p.images) filter (p.before <> c.class and p.after = c.class), 0)::bigint as came,
    coalesce(sum(p.images) filter (p.before = c.class and p.after <> c.class), 0)::bigint as went
from classes as c
join pairs as p on p.before = c.class or p.after = c.class
group by c.class
order by came + went desc, c.class
limit 20;
