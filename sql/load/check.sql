-- Load: does a shard add up before it is loaded? A row for everything that does not.
-- Parameters: $listed, $labelled, $rejected (the completion marker's counts).
-- Relations: new_images, new_predictions, new_scores, new_evidence, new_plans (records of the same
-- names).
with embedded as (
    select image_id from new_images where reason is null
),
checks as (
    select
        'images listed in the marker against labelled + rejected in the marker' as checked,
        $listed::bigint as expected,
        $labelled::bigint + $rejected::bigint as found
    union all
    select 'images listed in the marker against rows of images', $listed, count(*) from new_images
    union all
    select 'images rejected in the marker against rows of images with a reason',
        $rejected, count(*) from new_images where reason is not null
    union all
    select 'images labelled in the marker against rows of predictions',
        $labelled, count(*) from new_predictions
    union all
    select 'abstained predictions against predictions without a label',
        count(*) filter (abstained), count(*) filter (label is null) from new_predictions
    union all
    select 'different images against rows of images',
        count(distinct image_id), count(*) from new_images
    union all
    select 'embedded images against those among them with a prediction',
        (select count(*) from embedded), count(distinct image_id)
    from new_predictions where image_id in (from embedded)
    union all
    select 'embedded images against those among them with a best score',
        (select count(*) from embedded), count(distinct image_id)
    from new_scores where rank = 1 and image_id in (from embedded)
    union all
    select 'embedded images against those among them with evidence',
        (select count(*) from embedded), count(distinct image_id)
    from new_evidence where rank = 1 and image_id in (from embedded)
    union all
    select 'scores, evidence and plans of images that were not embedded', 0, count(*)
    from (
        select image_id from new_scores
        union all
        select image_id from new_evidence
        union all
        select image_id from new_plans
    )
    where image_id not in (from embedded)
)
select checked, expected, found from checks where expected <> found;
