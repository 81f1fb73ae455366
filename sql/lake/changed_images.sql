-- Lake: of which shards that the lake has are images another run's now, or decoded by it? One row per
-- archive and shard. Relation: before (archive, shard, as the lake has its images).
select distinct archive, shard
from (
    select * from images where (archive, shard) in (select b.archive, b.shard from before as b)
    except
    select * from before
);
