-- Report: how often was each class given, how surely, and how rightly? A row per class of the label
-- set, most frequent first; images where the run abstained count for none. Parameters: $run.
with given as (
    select
        label as class,
        count(*) as images,
        avg(margin) as margin,
        count(*) filter (correct) as correct,
        count(*) filter (correct is not null) as known
    from labelled
    where run = $run and listed and label is not null
    group by label
),
shown as (
    select truth as class, count(*) as images
    from labelled
    where run = $run and listed and truth is not null
    group by truth
)
select
    a.class_index,
    a.class,
    coalesce(g.images, 0) as images,
    g.margin,
    coalesce(g.correct, 0) as correct,
    coalesce(g.known, 0) as known,
    coalesce(s.images, 0) as in_truth
from attributes as a
join runs as r on r.labels = a.labels
left join given as g on g.class = a.class
left join shown as s on s.class = a.class
where r.run = $run and a.attribute_index = -1
order by images desc, a.class_index;
