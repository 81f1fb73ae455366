-- Explain: which images of a run may be meant by a key, an image_id or a part of a key? The best
-- kind of match only: 1 the whole, 2 the last parts of the path, 3 the end, 4 anywhere. Of several
-- versions of a key the listed one. `reason` is null for labelled images.
-- Parameters: $run, $image.
select
    i.shard,
    i.image_id,
    i.key,
    i.uri,
    i.size,
    i.version,
    i.width,
    i.height,
    x.reason,
    x.detail,
    case
        when i.image_id = $image or i.key = $image then 1
        when ends_with(i.key, '/' || $image) then 2
        when ends_with(i.key, $image) then 3
        else 4
    end as kind
from runs as r
join shards as s on s.run = r.run
join images as i on i.archive = r.archive and i.shard = s.shard
left join rejects as x on x.run = r.run and x.shard = i.shard and x.image_id = i.image_id
where
    r.run = $run
    and (i.image_id = $image or contains(i.key, $image))
qualify
    kind = min(kind) over ()
    and row_number() over (
        partition by i.key
        order by i.image_id = $image desc, i.listed desc, i.version desc, i.image_id
    ) = 1
order by i.key
limit 20;
