-- Which region sizes carry the evidence? Every region's side in tenths of the shorter side of its
-- image: its part of the transported mass and of the evidence, against its part of the regions.
set variable run = (from (select run from runs order by created desc, run limit 1));
with cells as (
    select
        round(
            least(c.box.right - c.box.left, c.box.bottom - c.box.top) / least(i.width, i.height), 1
        ) as side,
        c.image_id,
        c.region,
        c.mass,
        c.contribution
    from plan_cells as c
    join runs as r on r.run = c.run
    join images as i on i.archive = r.archive and i.shard = c.shard and i.image_id = c.image_id
    where c.run = getvariable('run') and c.rank = 1
)
select
    side,
    count(distinct (image_id, region)) as regions,
    round(regions / sum(regions) over (), 3) as part_of_regions,
    round(sum(mass) / sum(sum(mass)) over (), 3) as part_of_mass,
    round(sum(contribution) / sum(sum(contribution)) over (), 3) as part_of_evidence
from cells
group by side
order by side;
