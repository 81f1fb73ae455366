-- Report: how many of a run's images did people judge, and in how many did they agree with it? One
-- row. Parameters: $run.
select
    count(*) as images,
    count(*) filter (correct) as correct,
    count(*) filter (not correct) as wrong
from judged
where run = $run and listed;
