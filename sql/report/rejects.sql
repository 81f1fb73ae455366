-- Report: every rejected image and why, reason by reason. Parameters: $run.
select x.reason, x.key, x.detail, i.size, i.listed
from rejected as x
join runs as r on r.run = x.run
left join images as i on i.archive = r.archive and i.shard = x.shard and i.image_id = x.image_id
where x.run = $run
order by x.reason, x.key, x.image_id;
