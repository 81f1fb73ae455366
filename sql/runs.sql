-- Which runs are in the warehouse? Newest first. No parameters.
select run, archive, model, created from runs order by created desc nulls last, run;
