-- Report: how certain is it? Labelled images by margin in $bins equal steps from zero, of the right,
-- the wrong and those of unknown truth. Parameters: $run, $bins.
with known as (
    select margin, correct from labelled where run = $run and listed and margin is not null
),
step as (
    select coalesce(nullif(quantile_cont(margin, 0.995), 0), 1) / $bins as width from known
)
select
    least(floor(k.margin / step.width), $bins - 1)::integer as bin,
    any_value(step.width) as width,
    count(*) filter (k.correct) as correct,
    count(*) filter (not k.correct) as wrong,
    count(*) filter (k.correct is null) as unknown
from known as k, step
group by bin
order by bin;
