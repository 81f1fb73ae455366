-- Lake: of which shards are images and boxes in the lake? No parameters.
select distinct r.archive, r.encoder, r.regions, s.shard
from shards as s
join runs as r on r.run = s.run;
