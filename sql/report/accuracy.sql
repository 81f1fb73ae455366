-- Report: how right is each method where it gave a label, best first? Parameters: $run.
select method, images, labelled, correct, accuracy
from accuracy
where run = $run
order by accuracy desc nulls last, method;
