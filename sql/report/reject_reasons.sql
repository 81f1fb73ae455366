-- Report: how many images were rejected for each reason, with one as an example?
-- Parameters: $run.
select reason, images, example, detail
from reject_reasons
where run = $run
order by images desc, reason;
