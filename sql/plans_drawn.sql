-- What is needed to draw why? The kept plans of one shard's images, each with its attributes, the
-- boxes of its regions, kept or passed over, the presence of its attributes and the size of its
-- image; image by image, best class first.
-- Parameters: $run, $shard, $images (list of image_id; null: all of the shard).
with texts as (
    select a.class, list(coalesce(a.attribute, a.class) order by a.attribute_index) as texts
    from attributes as a
    join runs as r on r.labels = a.labels
    where
        r.run = $run
        and a.attribute_index >= 0
    group by a.class
),

presences as (
    select image_id, class, list(presence order by attribute_index) as presence
    from evidence
    where
        run = $run
        and shard = $shard
        and presence is not null
        and ($images is null or list_contains($images, image_id))
    group by image_id, class
)

select
    p.image_id,
    i.key,
    i.uri,
    i.width,
    i.height,
    p.rank,
    p.class,
    p.score,
    t.texts,
    p.regions,
    list_transform(p.regions, lambda region: g.boxes[region + 1]) as boxes,
    p.mass,
    p.similarity,
    list_transform(
        list_filter(range(1, len(g.boxes)), lambda region: not list_contains(p.regions, region)),
        lambda region: g.boxes[region + 1]
    ) as passed_boxes,
    p.passed_over,
    e.presence
from plans as p
join runs as r on r.run = p.run
join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
join regions as g
    on g.encoder = r.encoder
    and g.regions = r.regions
    and g.shard = p.shard
    and g.image_id = p.image_id
join texts as t on t.class = p.class
left join presences as e on e.image_id = p.image_id and e.class = p.class
where
    p.run = $run
    and p.shard = $shard
    and ($images is null or list_contains($images, p.image_id))
order by p.image_id, p.rank;
