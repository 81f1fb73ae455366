-- Which questions can be asked without naming anything? Every view; `macros.sql` has the questions
-- about one run, one image or one class. Running it again changes nothing. No parameters.

-- What would the images have been called that got no label? One row per run and abstained image.
create or replace view withheld as
select p.run, p.shard, p.image_id, s.class as best_guess, p.confidence
from predictions as p
join scores as s
    on s.run = p.run and s.shard = p.shard and s.image_id = p.image_id and s.rank = 1
where p.abstained;
comment on view withheld is
    'what images without a label would have been called: one row per run and abstained image';

-- What was every image called? One row per run and labelled image. `labelled` says more of each, and
-- takes longer where many images are compared.
create or replace view guesses as
select
    p.run,
    p.shard,
    p.image_id,
    p.label,
    coalesce(p.label, w.best_guess) as best_guess,
    p.score,
    p.margin
from predictions as p
left join withheld as w on w.run = p.run and w.shard = p.shard and w.image_id = p.image_id;
comment on view guesses is
    'what every image was called, and nearest to: one row per run and labelled image; quicker than labelled';

-- What was every image called, and was it right? One row per run and labelled image. An abstained
-- image has no label, and is neither right nor wrong; `best_guess` says what it was nearest to.
create or replace view labelled as
select
    p.run,
    r.archive,
    p.shard,
    p.image_id,
    i.key,
    i.uri,
    i.listed,
    p.label,
    coalesce(p.label, w.best_guess) as best_guess,
    p.abstained,
    p.confidence,
    p.score,
    p.runner_up,
    p.margin,
    p.kept,
    p.seen,
    p.doubt,
    p.presence,
    p.gap,
    p.parent_label,
    p.parent_chance,
    p.parent_level,
    coalesce(p.label, p.parent_label) as answer,
    p.clip_label,
    p.dclip_label,
    p.crop_mean_label,
    t.label as truth,
    p.label = t.label as correct
from predictions as p
join runs as r on r.run = p.run
left join withheld as w on w.run = p.run and w.shard = p.shard and w.image_id = p.image_id
left join images as i
    on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
left join truth as t on t.archive = r.archive and t.key = i.key;
comment on view labelled is
    'what every image was called, with its file, its truth and what other methods call it: one row per run and labelled image';

-- Which attributes of the whole label set does an image show most strongly, whatever its class? One
-- row per run, labelled image and attribute; none of runs from before.
create or replace view shown_attributes as
select
    p.run,
    r.archive,
    p.shard,
    p.image_id,
    i.key,
    i.listed,
    coalesce(p.label, w.best_guess) as best_guess,
    unnest(range(1, len(p.shown) + 1))::smallint as place,
    unnest(p.shown) as attribute,
    unnest(p.shown_strength) as strength
from predictions as p
join runs as r on r.run = p.run
left join withheld as w on w.run = p.run and w.shard = p.shard and w.image_id = p.image_id
left join images as i
    on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id;
comment on view shown_attributes is
    'the attributes of the whole label set that every image shows most strongly, whatever its class';

-- What could not be labelled, and why?
create or replace view rejected as
select x.run, r.archive, x.shard, x.image_id, i.key, i.uri, i.listed, x.reason, x.detail
from rejects as x
join runs as r on r.run = x.run
left join images as i
    on i.archive = r.archive and i.shard = x.shard and i.image_id = x.image_id;
comment on view rejected is
    'what could not be labelled, and why, with the file that is meant: one row per run and image';

-- How many images were rejected for each reason, with one of them as an example?
create or replace view reject_reasons as
select
    run,
    reason,
    count(*) as images,
    min(key) as example,
    arg_min(detail, key) as detail
from rejected
group by run, reason;
comment on view reject_reasons is
    'how many images were rejected for each reason, with one of them as an example';

-- Which region spoke for which attribute, and how much? One row per cell of every kept plan.
-- The contributions of a plan's cells add up to its score; `width` and `height` are those of the
-- image. Everything is joined to the plans, before
-- they are taken apart: a condition on the run, the shard or the rank is one on the plans.
create or replace view plan_cells as
with texts as (
    select labels, class, list(attribute order by attribute_index) as texts
    from attributes
    where attribute_index >= 0
    group by labels, class
),
planned as (
    select
        p.run,
        p.shard,
        p.image_id,
        p.rank,
        p.class,
        p.regions,
        p.attributes,
        p.mass,
        p.similarity,
        t.texts,
        g.boxes,
        i.width,
        i.height
    from plans as p
    join runs as r on r.run = p.run
    left join images as i
        on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    left join texts as t on t.labels = r.labels and t.class = p.class
    left join regions as g
        on g.encoder = r.encoder
        and g.regions = r.regions
        and g.shard = p.shard
        and g.image_id = p.image_id
),
cells as (
    select
        run,
        shard,
        image_id,
        rank,
        class,
        regions,
        attributes,
        texts,
        boxes,
        width,
        height,
        unnest(mass) as mass,
        unnest(similarity) as similarity,
        unnest(range(len(mass))) as position
    from planned
)
select
    run,
    shard,
    image_id,
    rank,
    class,
    regions[position // attributes + 1] as region,
    (position % attributes)::smallint as attribute_index,
    texts[position % attributes + 1] as attribute,
    mass,
    similarity,
    mass * similarity as contribution,
    boxes[regions[position // attributes + 1] + 1] as box,
    width,
    height
from cells;
comment on view plan_cells is
    'which region spoke for which attribute, and how much: one row per cell of every kept plan';

-- How much does each attribute carry its class? Over the images whose best class it is, abstained
-- ones among them: `contribution` (adds up to the mean score), `similarity`, and `lift`: how much
-- more similar the attribute is there than where the class was only a rival (null when it never was
-- one).
create or replace view attribute_strength as
select
    run,
    class,
    attribute_index,
    attribute,
    count(*) filter (rank = 1) as images,
    avg(contribution) filter (rank = 1) as contribution,
    avg(similarity) filter (rank = 1) as similarity,
    avg(similarity) filter (rank = 1) - avg(similarity) filter (rank > 1) as lift
from evidence
group by run, class, attribute_index, attribute
having count(*) filter (rank = 1) > 0;
comment on view attribute_strength is
    'how much each attribute carries its class, over the images whose best class it is';

-- How often is each method right? LaZSL and its three baselines, over images that are still listed
-- and whose truth is known: `accuracy` of those it labelled, which are `coverage` of the images.
-- Only LaZSL abstains.
create or replace view accuracy as
select
    run,
    method,
    count(*) as images,
    count(guess) as labelled,
    count(*) filter (guess = truth) as correct,
    count(*) filter (guess = truth) / nullif(count(guess), 0) as accuracy,
    count(guess) / count(*) as coverage
from (
    select
        run,
        truth,
        unnest(['lazsl', 'clip', 'dclip', 'crop_mean']) as method,
        unnest([label, clip_label, dclip_label, crop_mean_label]) as guess
    from labelled
    where truth is not null and listed
)
group by run, method;
comment on view accuracy is
    'how often each method is right, over listed images of known truth: one row per run and method';

-- Is everything there, once? Every difference is zero, shard by shard: images listed are labelled
-- or rejected, and every table holds as many rows as the shard had when it was loaded.
create or replace view reconciliation as
with counted as (
    select
        run,
        shard,
        sum(predictions) as predictions,
        sum(rejects) as rejects,
        sum(scores) as scores,
        sum(evidence) as evidence,
        sum(plans) as plans
    from (
        select
            run, shard, count(*) as predictions, 0 as rejects, 0 as scores, 0 as evidence,
            0 as plans
        from predictions group by run, shard
        union all
        select run, shard, 0, count(*), 0, 0, 0 from rejects group by run, shard
        union all
        select run, shard, 0, 0, count(*), 0, 0 from scores group by run, shard
        union all
        select run, shard, 0, 0, 0, count(*), 0 from evidence group by run, shard
        union all
        select run, shard, 0, 0, 0, 0, count(*) from plans group by run, shard
    )
    group by run, shard
),
image_counts as (
    select archive, shard, count(*) as images from images group by archive, shard
),
region_counts as (
    select encoder, regions, shard, count(*) as images from regions group by encoder, regions, shard
),
loaded as (
    select
        coalesce(s.run, c.run) as run,
        coalesce(s.shard, c.shard) as shard,
        coalesce(s.listed, 0) as listed,
        coalesce(s.labelled, 0) as labelled,
        coalesce(s.rejected, 0) as rejected,
        coalesce(c.predictions, 0) - coalesce(s.labelled, 0) as predictions_difference,
        coalesce(c.rejects, 0) - coalesce(s.rejected, 0) as rejects_difference,
        coalesce(c.scores, 0) - coalesce(s.score_rows, 0) as scores_difference,
        coalesce(c.evidence, 0) - coalesce(s.evidence_rows, 0) as evidence_difference,
        coalesce(c.plans, 0) - coalesce(s.plan_rows, 0) as plans_difference
    from shards as s
    full join counted as c on c.run = s.run and c.shard = s.shard
),
differences as (
    select
        l.run,
        l.shard,
        l.listed,
        l.labelled,
        l.rejected,
        l.listed - l.labelled - l.rejected as unaccounted,
        coalesce(i.images, 0) - l.listed as images_difference,
        l.predictions_difference,
        l.rejects_difference,
        l.scores_difference,
        l.evidence_difference,
        l.plans_difference,
        coalesce(g.images, 0) - l.labelled as regions_difference
    from loaded as l
    left join runs as r on r.run = l.run
    left join image_counts as i on i.archive = r.archive and i.shard = l.shard
    left join region_counts as g
        on g.encoder = r.encoder and g.regions = r.regions and g.shard = l.shard
)
select
    *,
    unaccounted = 0
        and images_difference = 0
        and predictions_difference = 0
        and rejects_difference = 0
        and scores_difference = 0
        and evidence_difference = 0
        and plans_difference = 0
        and regions_difference = 0 as reconciled
from differences;
comment on view reconciliation is
    'whether every shard holds each of its rows once: one row per run and shard, all differences 0';

-- Which files are in the archive more than once, byte for byte, and were they called the same?
-- Abstained images were called nothing.
create or replace view duplicates as
with copied as (
    select archive, digest
    from images
    where listed and digest is not null
    group by archive, digest
    having count(*) > 1
),
copies as (
    select i.archive, i.shard, i.image_id, i.digest, i.key
    from images as i
    join copied as c on c.archive = i.archive and c.digest = i.digest
    where i.listed
)
select
    p.run,
    c.digest,
    count(*) as images,
    list(c.key order by c.key) as keys,
    coalesce(list(distinct p.label order by p.label) filter (p.label is not null), []) as labels,
    coalesce(min(p.label) <> max(p.label), false) as labels_differ
from predictions as p
join runs as r on r.run = p.run
join copies as c on c.archive = r.archive and c.shard = p.shard and c.image_id = p.image_id
group by p.run, c.digest
having count(*) > 1;
comment on view duplicates is
    'files that are in the archive more than once, byte for byte, and whether they were called the same';

-- How did each run go? Counts of rows, seconds summed over shards. `labelled` images include the
-- `abstained` ones. `missing` is zero, or something is wrong and `reconciliation` says where.
create or replace view run_summary as
select
    r.run,
    r.archive,
    r.model,
    r.created,
    coalesce(s.shards, 0) as shards,
    coalesce(s.listed, 0) as listed,
    coalesce(p.labelled, 0) as labelled,
    coalesce(p.abstained, 0) as abstained,
    coalesce(x.rejected, 0) as rejected,
    coalesce(s.listed, 0) - coalesce(p.labelled, 0) - coalesce(x.rejected, 0) as missing,
    s.crops,
    p.seen,
    p.doubt,
    s.bytes,
    s.stage_seconds,
    s.embed_seconds,
    s.score_seconds,
    s.finished_at
from runs as r
left join (
    select
        run,
        count(*) as shards,
        sum(listed)::bigint as listed,
        sum(crops)::bigint as crops,
        sum(bytes)::bigint as bytes,
        sum(stage_seconds) as stage_seconds,
        sum(embed_seconds) as embed_seconds,
        sum(score_seconds) as score_seconds,
        max(finished_at) as finished_at
    from shards
    group by run
) as s on s.run = r.run
left join (
    select
        run,
        count(*) as labelled,
        count(*) filter (abstained) as abstained,
        avg(seen) as seen,
        avg(doubt) as doubt
    from predictions
    group by run
) as p on p.run = r.run
left join (select run, count(*) as rejected from rejects group by run) as x on x.run = r.run;
comment on view run_summary is 'how each run went: counts, and seconds summed over shards';

-- What does a judged image show? One row per archive and image of these bytes: every reviewer's
-- latest answer, and of several reviewers' the answer that most give, among equals the latest.
create or replace view reviewed as
with answers as (
    select
        archive,
        key,
        digest,
        reviewer,
        arg_max({'label': judged_label, 'comment': comment}, (judged_at, batch)) as answer,
        max(judged_at) as judged_at
    from reviews
    group by archive, key, digest, reviewer
),
votes as (
    select
        archive,
        key,
        digest,
        answer.label as judged_label,
        count(*) as reviewers,
        max(judged_at) as judged_at,
        list(
            {
                'reviewer': reviewer,
                'judged_label': answer.label,
                'judged_at': judged_at,
                'comment': answer.comment
            }
            order by reviewer
        ) as answers
    from answers
    group by archive, key, digest, answer.label
)
select
    archive,
    key,
    digest,
    arg_max({'label': judged_label}, (reviewers, judged_at, judged_label)).label as judged_label,
    sum(reviewers)::bigint as reviewers,
    count(*) = 1 as agreed,
    flatten(list(answers order by reviewers desc, judged_at desc)) as answers,
    max(judged_at) as judged_at
from votes
group by archive, key, digest;
comment on view reviewed is
    'what people judged an image to show: one row per archive and image of these bytes';

-- How did every run call the judged images, and was it right? A judgement holds for the bytes that
-- were judged, of whatever run; `correct` is null where the run gave no label.
create or replace view judged as
select
    p.run,
    p.archive,
    p.shard,
    p.image_id,
    p.key,
    p.listed,
    p.label,
    p.best_guess,
    p.score,
    p.margin,
    v.judged_label,
    case when p.label is not null then p.label is not distinct from v.judged_label end as correct,
    v.reviewers,
    v.agreed,
    v.judged_at
from reviewed as v
join images as i on i.archive = v.archive and i.key = v.key and i.digest = v.digest
join labelled as p on p.archive = i.archive and p.shard = i.shard and p.image_id = i.image_id;
comment on view judged is 'how every run called the judged images, and whether rightly';
