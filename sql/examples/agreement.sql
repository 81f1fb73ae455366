-- How much do the two latest runs agree, and which is right where they do not? Needs truth for the
-- last two.
set variable run_a = (from (select run from runs order by created desc, run limit 1 offset 1));
set variable run_b = (from (select run from runs order by created desc, run limit 1));
select
    count(*) as images,
    count(*) filter (a.best_guess = b.best_guess) as same_label,
    round(corr(a.margin, b.margin), 3) as margins_correlate,
    count(*) filter (a.best_guess <> b.best_guess and a.best_guess = a.truth) as only_first_right,
    count(*) filter (a.best_guess <> b.best_guess and b.best_guess = a.truth) as only_second_right
from labelled as a
join guesses as b on b.shard = a.shard and b.image_id = a.image_id
where a.run = getvariable('run_a') and b.run = getvariable('run_b') and a.listed;
