-- Explain: which classes does a label set have? In its order. Parameters: $labels.
select class
from attributes
where
    labels = $labels
    and attribute_index = -1
order by class_index;
