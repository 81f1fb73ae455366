-- What did every run refuse to say? Abstained images by confidence, and how right the best guess
-- would have been (null without truth). A run that was given no temperature abstains from nothing.
select
    p.run,
    count(*) as images,
    count(*) filter (p.abstained) as abstained,
    round(avg(p.confidence), 3) as confidence,
    round(avg((p.best_guess = p.truth)::integer) filter (p.abstained), 3) as right_if_asked,
    round(avg(p.correct::integer), 3) as right_when_answered
from labelled as p
where p.listed
group by p.run
order by p.run;
