-- Load: would a listing change anything? One row, the number of images it concerns.
-- Parameters: $archive. Relation: new_listed (image_id of everything that is listed).
select count(*)
from images
where images.archive = $archive
    and images.listed <> (images.image_id in (select new_listed.image_id from new_listed));
