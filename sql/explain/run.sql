-- Explain: what made a run? Parameters: $run.
select encoder, regions, labels, job from runs where run = $run;
