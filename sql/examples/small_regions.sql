-- Which attributes are decided by small regions? Mean part of the image that the best region
-- covers, over the labels of the latest run.
set variable run = (from (select run from runs order by created desc, run limit 1));
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
where e.run = getvariable('run') and e.rank = 1
group by e.attribute
order by part_of_image, e.attribute
limit 20;
