-- Which region sizes carry the evidence? Every region's side in tenths of the shorter side of its
-- image: its part of the transported mass and of the evidence, against its part of the regions.
-- Plans are large, so this looks at 40 shards (they are named by a digest, so these are no
-- particular ones); without the limit it looks at all.
set variable run = (from (select run from runs order by created desc, run limit 1));
set variable last_shard = (
    select max(shard)
    from (select shard from shards where run = getvariable('run') order by shard limit 40)
);
with cells as (
    select
        round(
            least(box.right - box.left, box.bottom - box.top) / least(width, height), 1
        ) as side,
        attribute_index,
        mass,
        contribution
    from plan_cells
    where run = getvariable('run') and rank = 1 and shard <= getvariable('last_shard')
)
select
    side,
    count(*) filter (attribute_index = 0) as regions,
    round(regions / sum(regions) over (), 3) as part_of_regions,
    round(sum(mass) / sum(sum(mass)) over (), 3) as part_of_mass,
    round(sum(contribution) / sum(sum(contribution)) over (), 3) as part_of_evidence
from cells
group by side
order by side;
