-- Report: the classes of a run's label set in their order, with their attributes (a class without
-- any speaks by its name). Parameters: $run.
select
    a.class_index,
    a.class,
    coalesce(
        list(coalesce(a.attribute, a.class) order by a.attribute_index)
            filter (a.attribute_index >= 0),
        []
    ) as attributes
from attributes as a
join runs as r on r.labels = a.labels
where r.run = $run
group by a.class_index, a.class
order by a.class_index;
