-- Which attributes speak together? Pairs that are both among the three strongest of an image's best
-- class, over classes: what an archive really shows at once. In 40 shards (they are named by a
-- digest, so these are no particular ones); without the limit, in all.
set variable run = (from (select run from runs order by created desc, run limit 1));
set variable last_shard = (
    select max(shard)
    from (select shard from shards where run = getvariable('run') order by shard limit 40)
);
with strongest as (
    select
        class,
        list(attribute order by contribution desc, attribute_index)[:3] as three
    from evidence
    where run = getvariable('run') and rank = 1 and shard <= getvariable('last_shard')
    group by shard, image_id, class
),
pairs as (
    select
        class,
        unnest([three[1], three[1], three[2]]) as one,
        unnest([three[2], three[3], three[3]]) as other
    from strongest
)
select
    least(one, other) as attribute,
    greatest(one, other) as together_with,
    count(*) as images,
    count(distinct class) as classes
from pairs
where one <> other
group by attribute, together_with
order by images desc, attribute, together_with
limit 20;
