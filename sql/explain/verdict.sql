-- Explain: what was an image called, how surely, and was it right? Where the run abstained, the
-- label is the best guess. Parameters: $run, $shard, $image.
select best_guess as label, score, runner_up, margin, truth, confidence, abstained
from labelled
where
    run = $run
    and shard = $shard
    and image_id = $image;
