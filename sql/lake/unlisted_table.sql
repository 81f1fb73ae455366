-- Lake: images that are no longer listed, and a row without an image for every archive of which that
-- is known. No parameters.
create or replace table unlisted (archive varchar not null, shard varchar, image_id varchar);
