-- Report: how do two runs of one archive agree? Over the images that both labelled; where one
-- abstained and the other did not, they differ. One row. Parameters: $run, $against.
select
    count(*) as images,
    count(*) filter (a.label is distinct from b.label) as changed,
    count(*) filter (a.label is null and b.label is not null) as now_answered,
    count(*) filter (a.label is not null and b.label is null) as now_abstained,
    count(a.truth) as known,
    count(*) filter (a.label = a.truth) as correct_before,
    count(*) filter (b.label = a.truth) as correct_after,
    count(*) filter (a.label = a.truth and b.label is distinct from a.truth) as broken,
    count(*) filter (b.label = a.truth and a.label is distinct from a.truth) as mended
from labelled as a
join predictions as b on b.run = $run and b.shard = a.shard and b.image_id = a.image_id
where a.run = $against and a.listed;
