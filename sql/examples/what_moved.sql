-- Between the two latest runs: which attributes moved most where they disagree? In 40 shards (they
-- are named by a digest, so these are no particular ones); without the last argument, in all.
set variable run_a = (from (select run from runs order by created desc, run limit 1 offset 1));
set variable run_b = (from (select run from runs order by created desc, run limit 1));
set variable last_shard = (
    select max(shard)
    from (select shard from shards where run = getvariable('run_b') order by shard limit 40)
);
select class, attribute, count(*) as images, round(avg(change), 4) as mean_change
from moved_attributes(
    getvariable('run_a'), getvariable('run_b'), last_shard := getvariable('last_shard')
)
group by class, attribute
order by abs(avg(change)) desc nulls last, class, attribute
limit 20;
