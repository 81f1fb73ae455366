-- Lake: which images of an archive are no longer in its latest listing, in the form of
-- `unlisted_table.sql`? Parameters: $archive. Relation: new_listed (image_id of everything listed).
select $archive as archive, null as shard, null as image_id
union all
select i.archive, i.shard, i.image_id
from images as i
anti join new_listed as n on n.image_id = i.image_id
where i.archive = $archive
order by shard nulls first, image_id;
