-- Report: which images do two runs call differently, and which attributes moved them? Largest
-- movement first; each with the $how_many attributes (of either label) whose contribution changed
-- most: an attribute that one run's label set does not have contributes 0 there.
-- Reads `shown_images`. Parameters: $run, $against, $how_many.
with moved as (
    select
        image_id,
        max(abs(change)) as most,
        list(
            {
                'class': class,
                'attribute': attribute,
                'before': contribution_a,
                'after': contribution_b
            }
            order by abs(change) desc, class, attribute
        )[:$how_many] as moved
    from moved_attributes($against, $run)
    where change <> 0
    group by image_id
)
select
    a.image_id,
    a.key,
    v.position,
    v.shard,
    v.part,
    a.label as label_before,
    b.label as label_after,
    a.margin as margin_before,
    b.margin as margin_after,
    a.truth,
    coalesce(m.moved, []) as moved
from labelled as a
join predictions as b on b.run = $run and b.shard = a.shard and b.image_id = a.image_id
left join moved as m on m.image_id = a.image_id
left join shown_images as v on v.shard = a.shard and v.image_id = a.image_id
where a.run = $against and a.listed and a.label is distinct from b.label
order by m.most desc nulls last, a.key, a.image_id;
