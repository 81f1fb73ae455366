-- Load: which keys of a truth table have two labels? At most five rows.
-- Relation: new_truth (key, label).
select key, min(label) as one, max(label) as other
from new_truth
group by key
having min(label) <> max(label)
order by key
limit 5;
