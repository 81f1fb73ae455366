-- Load: do some shards add up before they are loaded? A row for everything that does not.
-- Relations: new_shards (shard and the counts of its completion marker), new_images,
-- new_predictions, new_scores, new_evidence, new_plans (shard, records of the same names).
with embedded as (
    select shard, image_id from new_images where reason is null
),
listed as (
    select
        shard,
        count(*) as images,
        count(reason) as rejected,
        count(distinct image_id) as different
    from new_images
    group by shard
),
predicted as (
    select
        shard,
        count(*) as predictions,
        count(*) filter (abstained) as abstained,
        count(*) filter (label is null) as without_label
    from new_predictions
    group by shard
),
described as (
    select
        e.shard,
        count(*) as embedded,
        count(*) filter (exists (
            select 1 from new_predictions as p
            where p.shard = e.shard and p.image_id = e.image_id
        )) as predicted,
        count(*) filter (exists (
            select 1 from new_scores as s
            where s.shard = e.shard and s.image_id = e.image_id and s.rank = 1
        )) as scored,
        count(*) filter (exists (
            select 1 from new_evidence as v
            where v.shard = e.shard and v.image_id = e.image_id and v.rank = 1
        )) as explained
    from embedded as e
    group by e.shard
),
strangers as (
    select shard, count(*) as rows
    from (
        select shard, image_id from new_scores
        union all
        select shard, image_id from new_evidence
        union all
        select shard, image_id from new_plans
    ) as r
    anti join embedded as e on e.shard = r.shard and e.image_id = r.image_id
    group by shard
),
checks as (
    select
        m.shard,
        unnest([
            'images listed in the marker against labelled + rejected in the marker',
            'images listed in the marker against rows of images',
            'images rejected in the marker against rows of images with a reason',
            'images labelled in the marker against rows of predictions',
            'abstained predictions against predictions without a label',
            'different images against rows of images',
            'embedded images against those among them with a prediction',
            'embedded images against those among them with a best score',
            'embedded images against those among them with evidence',
            'scores, evidence and plans of images that were not embedded'
        ]) as checked,
        unnest([
            m.listed, m.listed, m.rejected, m.labelled, coalesce(p.abstained, 0),
            coalesce(l.different, 0), coalesce(d.embedded, 0), coalesce(d.embedded, 0),
            coalesce(d.embedded, 0), 0
        ]) as expected,
        unnest([
            m.labelled + m.rejected, coalesce(l.images, 0), coalesce(l.rejected, 0),
            coalesce(p.predictions, 0), coalesce(p.without_label, 0), coalesce(l.images, 0),
            coalesce(d.predicted, 0), coalesce(d.scored, 0), coalesce(d.explained, 0),
            coalesce(o.rows, 0)
        ]) as found
    from new_shards as m
    left join listed as l on l.shard = m.shard
    left join predicted as p on p.shard = m.shard
    left join described as d on d.shard = m.shard
    left join strangers as o on o.shard = m.shard
)
select shard, checked, expected, found from checks where expected <> found order by shard;
