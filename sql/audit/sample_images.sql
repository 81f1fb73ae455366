-- Audit: which images were drawn, and what was each called? Parameters: $sample.
select image_id, key, digest, label
from samples
where sample = $sample
order by key, image_id;
