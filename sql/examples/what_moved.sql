-- Between the two latest runs: which attributes moved most where they disagree?
set variable run_a = (from (select run from runs order by created desc, run limit 1 offset 1));
set variable run_b = (from (select run from runs order by created desc, run limit 1));
select class, attribute, count(*) as images, round(avg(change), 4) as mean_change
from moved_attributes(getvariable('run_a'), getvariable('run_b'))
group by class, attribute
order by abs(avg(change)) desc nulls last, class, attribute
limit 20;
