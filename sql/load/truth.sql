-- Load: what is really shown in the images of an archive.
-- Parameters: $archive. Relation: new_truth (key, label).
insert into truth (archive, key, label)
select distinct $archive, key, label
from new_truth
where key is not null and label is not null;
