-- What do the plans say, straight from the workspace, without any warehouse? `$plans` is a pattern
-- such as runs/RUN/plans/*.parquet below the workspace. Of every class: images, mean score, regions
-- that share the mass (the exponential of its entropy), and how hard the solver worked.
-- Parameters: $plans.
with planned as (
    select
        image_id,
        class,
        score,
        iterations,
        len(regions) as kept,
        list_sum(list_transform(mass, lambda t: if(t > 0, -t * ln(t), 0))) - ln(attributes)
            as entropy
    from read_parquet($plans)
    where rank = 1
)
select
    class,
    count(*) as images,
    round(avg(score), 4) as score,
    round(avg(kept), 1) as regions_kept,
    round(avg(exp(entropy)), 1) as regions_in_use,
    round(avg(iterations), 1) as iterations
from planned
group by class
order by images desc, class
limit 20;
