-- Lake: the images of the shards that were just loaded for a run. Parameters: $run.
select shard, image_id from predictions where predictions.run = $run
union all
select shard, image_id from rejects where rejects.run = $run;
