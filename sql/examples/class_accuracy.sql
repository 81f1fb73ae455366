-- How right is every class? Of the images called so how many are (precision), of those that show it
-- how many were found (recall); the worst first. Needs truth.
set variable run = (from (select run from runs order by created desc, run limit 1));
with judged as (
    select label, truth
    from labelled
    where run = getvariable('run') and listed and truth is not null
),
classes as (
    select label as class from judged where label is not null
    union
    select truth from judged
)
select
    c.class,
    count(*) filter (j.label = c.class) as called,
    count(*) filter (j.truth = c.class) as shown,
    count(*) filter (j.label = c.class and j.truth = c.class) as hits,
    round(hits / nullif(called, 0), 3) as precision,
    round(hits / nullif(shown, 0), 3) as recall
from classes as c
join judged as j on j.label = c.class or j.truth = c.class
group by c.class
order by recall nulls first, precision nulls first, c.class
limit 20;
