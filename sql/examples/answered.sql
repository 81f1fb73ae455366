-- How right would a run be if it answered only the surer images? Accuracy by the share of images
-- that are answered, the largest margins first. Needs truth.
set variable run = (from (select run from runs order by created desc, run limit 1));
with ranked as (
    select
        margin,
        best_guess = truth as is_right,
        row_number() over (order by margin desc, image_id) as place,
        count(*) over () as images
    from labelled
    where run = getvariable('run') and listed and truth is not null
),
shares as (
    select unnest([0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) as share
)
select
    s.share as answered,
    count(*) as images,
    round(min(r.margin), 4) as margin_at_least,
    round(avg(r.is_right::integer), 3) as accuracy
from shares as s
join ranked as r on r.place <= greatest(1, floor(s.share * r.images))
group by s.share
order by s.share;
