-- Which attributes speak together? Pairs that are both among the three strongest of an image's best
-- class, over classes: what an archive really shows at once.
set variable run = (from (select run from runs order by created desc, run limit 1));
with strongest as (
    select shard, image_id, class, attribute
    from evidence
    where run = getvariable('run') and rank = 1
    qualify row_number() over (
        partition by shard, image_id order by contribution desc, attribute_index
    ) <= 3
)
select
    a.attribute,
    b.attribute as together_with,
    count(*) as images,
    count(distinct a.class) as classes
from strongest as a
join strongest as b
    on b.shard = a.shard and b.image_id = a.image_id and b.attribute > a.attribute
group by a.attribute, b.attribute
order by images desc, a.attribute, b.attribute
limit 20;
