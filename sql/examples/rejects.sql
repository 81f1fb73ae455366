-- What could not be labelled in the latest run, and why?
set variable run = (from (select run from runs order by created desc, run limit 1));
select reason, images, example, detail
from reject_reasons
where run = getvariable('run')
order by images desc, reason;
