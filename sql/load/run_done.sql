-- Load: is a run in the warehouse already? One row, 0 or 1. Parameters: $run.
select count(*) from runs where runs.run = $run;
