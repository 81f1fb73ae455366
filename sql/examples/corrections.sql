-- What did reviewers correct? Judged images that the latest run calls otherwise, the surest first,
-- since they say most about the label set. `judged_label` is null where no class fits.
set variable run = (from (select run from runs order by created desc, run limit 1));
select j.key, j.best_guess, j.judged_label, round(j.margin, 4) as margin, j.reviewers, j.agreed
from judged as j
where j.run = getvariable('run') and j.best_guess is distinct from j.judged_label
order by j.margin desc, j.key
limit 20;
