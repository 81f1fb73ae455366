-- Lake: which images of an archive are no longer in its latest listing, in the form of
-- `unlisted_table.sql`? Parameters: $archive. Relation: new_listed (image_id of everything listed).
select $archive as archive, null as shard, null as image_id
union all
select archive, shard, image_id
from images
where images.archive = $archive
    and image_id not in (select new_listed.image_id from new_listed)
order by shard nulls first, image_id;
