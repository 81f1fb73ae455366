-- In which images does the evidence sit in the border? The part of the best class's evidence that
-- falls on the outer tenth of the image, if every region spreads its own evenly over its box.
-- Evidence spread evenly over the whole image would give 0.36.
set variable run = (from (select run from runs order by created desc, run limit 1));
with cells as (
    select c.image_id, i.key, c.contribution, c.box, i.width, i.height
    from plan_cells as c
    join runs as r on r.run = c.run
    join images as i on i.archive = r.archive and i.shard = c.shard and i.image_id = c.image_id
    where c.run = getvariable('run') and c.rank = 1 and c.contribution > 0
),
spread as (
    select
        image_id,
        key,
        contribution,
        (box.right - box.left) * (box.bottom - box.top) as area,
        greatest(0, least(box.right, 0.9 * width) - greatest(box.left, 0.1 * width))
        * greatest(0, least(box.bottom, 0.9 * height) - greatest(box.top, 0.1 * height)) as inside
    from cells
)
select
    s.key,
    p.best_guess,
    round(sum(s.contribution * (1 - s.inside / s.area)) / sum(s.contribution), 3) as in_border
from spread as s
join labelled as p on p.run = getvariable('run') and p.image_id = s.image_id
group by s.key, p.best_guess
order by in_border desc, s.key
limit 20;
