-- In which images does the evidence sit in the border? The part of the best class's evidence that
-- falls on the outer tenth of the image, if every region spreads its own evenly over its box.
-- Evidence spread evenly over the whole image would give 0.36. Plans are large, so this looks at 40
-- shards (they are named by a digest, so these are no particular ones); without the limit it looks
-- at all.
set variable run = (from (select run from runs order by created desc, run limit 1));
set variable last_shard = (
    select max(shard)
    from (select shard from shards where run = getvariable('run') order by shard limit 40)
);
with spread as (
    select
        shard,
        image_id,
        contribution,
        (box.right - box.left) * (box.bottom - box.top) as area,
        greatest(0, least(box.right, 0.9 * width) - greatest(box.left, 0.1 * width))
        * greatest(0, least(box.bottom, 0.9 * height) - greatest(box.top, 0.1 * height)) as inside
    from plan_cells
    where
        run = getvariable('run')
        and rank = 1
        and shard <= getvariable('last_shard')
        and contribution > 0
),
spoken as (
    select
        shard,
        image_id,
        sum(contribution * (1 - inside / area)) / sum(contribution) as in_border
    from spread
    group by shard, image_id
)
select p.key, p.best_guess, round(s.in_border, 3) as in_border
from spoken as s
join labelled as p
    on p.run = getvariable('run') and p.shard = s.shard and p.image_id = s.image_id
order by in_border desc, p.key
limit 20;
