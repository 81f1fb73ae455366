-- Load: which images of an archive are still in its latest listing?
-- Parameters: $archive. Relation: new_listed (image_id of everything that is listed).
update images
set listed = not images.listed
where images.archive = $archive
    and images.listed <> (images.image_id in (select new_listed.image_id from new_listed));
