-- Load: a label set, once for all runs that share it.
-- Parameters: $labels. Relation: new_attributes (records.attributes without its vectors).
insert into attributes (labels, class_index, class, attribute_index, attribute, prompt)
select $labels, class_index, class, attribute_index, attribute, prompt
from new_attributes
where not exists (select 1 from attributes where attributes.labels = $labels);
