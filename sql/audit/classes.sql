-- Audit: which classes may be answered? Those of the run's label set, in its order.
-- Parameters: $run.
select a.class
from attributes as a
join runs as r on r.labels = a.labels
where r.run = $run and a.attribute_index = -1
order by a.class_index;
