-- Why were images rejected that are listed now, and how many for each reason?
-- Parameters: $run. Relation: new_listed (image_id, shard, done).
select x.reason, count(*) as images
from rejects as x
join new_listed as l on l.shard = x.shard and l.image_id = x.image_id
where x.run = $run and l.done
group by x.reason
order by x.reason;
