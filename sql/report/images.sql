-- Report: everything about the shown images of one shard but their plans: the file, what every
-- method called it, its best classes and what their attributes contributed, what
-- people judged it to be. In the order of the
-- parts. Reads `shown_images`. Parameters: $run, $shard.
with best as (
    select
        image_id,
        list(
            {'class': class, 'scores': [score, clip_score, dclip_score, crop_mean_score]}
            order by rank
        ) as classes
    from scores
    where run = $run and shard = $shard
    group by image_id
),
spoken as (
    select
        image_id,
        list(
            {'rank': rank, 'attribute': attribute_index, 'contribution': contribution}
            order by rank, attribute_index
        ) as evidence
    from evidence
    where run = $run and shard = $shard
    group by image_id
)
select
    v.image_id,
    v.key,
    i.uri,
    i.size,
    i.version,
    i.format,
    i.width,
    i.height,
    i.orientation,
    v.position,
    v.part,
    v.abstained,
    v.guess,
    v.margin,
    v.surer_than,
    v.truth,
    p.kept,
    p.confidence,
    p.presence,
    p.parent_label,
    p.parent_chance,
    coalesce(j.answers, []) as answers,
    {
        'clip': {'class': p.clip_label, 'score': p.clip_score},
        'dclip': {'class': p.dclip_label, 'score': p.dclip_score},
        'crop_mean': {'class': p.crop_mean_label, 'score': p.crop_mean_score}
    } as baselines,
    b.classes,
    coalesce(e.evidence, []) as evidence
from shown_images as v
join runs as r on r.run = $run
join images as i on i.archive = r.archive and i.shard = v.shard and i.image_id = v.image_id
join predictions as p on p.run = $run and p.shard = v.shard and p.image_id = v.image_id
join best as b on b.image_id = v.image_id
left join reviewed as j on j.archive = r.archive and j.key = i.key and j.digest = i.digest
left join spoken as e on e.image_id = v.image_id
where v.shard = $shard
order by v.part, v.image_id;
