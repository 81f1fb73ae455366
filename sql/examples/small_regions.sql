-- Which attributes are decided by small regions? Mean part of the image that the best region
-- covers, over the labels of the latest run in 40 shards (they are named by a digest, so these are
-- no particular ones); without the limit it looks at all.
set variable run = (from (select run from runs order by created desc, run limit 1));
set variable last_shard = (
    select max(shard)
    from (select shard from shards where run = getvariable('run') order by shard limit 40)
);
select
    e.attribute,
    count(*) as images,
    round(avg(
        (g.boxes[e.best_region + 1].right - g.boxes[e.best_region + 1].left)
        * (g.boxes[e.best_region + 1].bottom - g.boxes[e.best_region + 1].top)
        / (i.width * i.height)
    ), 3) as part_of_image
from evidence as e
join runs as r on r.run = e.run
join images as i on i.archive = r.archive and i.shard = e.shard and i.image_id = e.image_id
join regions as g
    on g.encoder = r.encoder
    and g.regions = r.regions
    and g.shard = e.shard
    and g.image_id = e.image_id
where e.run = getvariable('run') and e.rank = 1 and e.shard <= getvariable('last_shard')
group by e.attribute
order by part_of_image, e.attribute
limit 20;
