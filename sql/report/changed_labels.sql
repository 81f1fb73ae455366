-- Report: from which label to which did images go between two runs, most often first?
-- Parameters: $run, $against, $how_many.
select
    a.label as label_before,
    b.label as label_after,
    count(*) as images,
    count(*) filter (a.label = a.truth) as broken,
    count(*) filter (b.label = a.truth) as mended
from labelled as a
join predictions as b on b.run = $run and b.shard = a.shard and b.image_id = a.image_id
where a.run = $against and a.listed and a.label is distinct from b.label
group by a.label, b.label
order by images desc, label_before, label_after
limit $how_many;
