-- Of the images that are listed now, what became of each in a run? One row of counts, which add up to
-- the images listed: labelled, rejected, waiting (finished and not loaded), missing (not finished).
-- Parameters: $run. Relation: new_listed (image_id, shard, done: whether the run has finished it).
with known as (
    select shard, image_id, true as labelled, abstained
    from predictions
    where predictions.run = $run
    union all
    select shard, image_id, false, false
    from rejects
    where rejects.run = $run
)
select
    count(*) filter (l.done and k.labelled) as labelled,
    count(*) filter (l.done and k.abstained) as abstained,
    count(*) filter (l.done and not k.labelled) as rejected,
    count(*) filter (l.done and k.image_id is null) as waiting,
    count(*) filter (not l.done) as missing,
    count(*) filter (l.image_id is null) as no_longer_listed
from new_listed as l
full join known as k on k.shard = l.shard and k.image_id = l.image_id;
