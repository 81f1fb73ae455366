-- Which classes are called too often, and which too rarely? Needs truth.
set variable run = (from (select run from runs order by created desc, run limit 1));
with called as (
    select label as class, count(*) as called
    from labelled
    where run = getvariable('run') and listed and truth is not null
    group by label
),
shown as (
    select truth as class, count(*) as shown
    from labelled
    where run = getvariable('run') and listed and truth is not null
    group by truth
)
select
    coalesce(c.class, s.class) as class,
    coalesce(c.called, 0) as called,
    coalesce(s.shown, 0) as shown,
    coalesce(c.called, 0) - coalesce(s.shown, 0) as too_many
from called as c
full join shown as s on s.class = c.class
where coalesce(c.class, s.class) is not null
order by abs(too_many) desc, class
limit 20;
