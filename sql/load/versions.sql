-- Load: remember as which version the markers of some shards were loaded.
-- Parameters: $run. Relation: new_versions (shard, version).
update shards
set version = new_versions.version
from new_versions
where shards.run = $run and shards.shard = new_versions.shard;
