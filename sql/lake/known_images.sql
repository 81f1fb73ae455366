-- Lake: the images of some shards as the lake has them. Relation: asked (archive, shard).
select i.*
from images as i
join asked as a on a.archive = i.archive and a.shard = i.shard;
