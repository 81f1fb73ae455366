-- Audit: which images are meant by these names (image_id or key), and what does a run call each?
-- Parameters: $run. Relation: new_names (name).
select f.image_id, f.key, f.digest, f.best_class as label
from audit_frame($run, false, false) as f
where f.image_id in (select name from new_names) or f.key in (select name from new_names)
order by f.key, f.image_id;
