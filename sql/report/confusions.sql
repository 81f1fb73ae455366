-- Report: which class is most often taken for which? Labelled images of known truth whose label is
-- wrong, the $how_many most frequent pairs. Parameters: $run, $how_many.
select truth, label, count(*) as images
from labelled
where run = $run and listed and not correct and label is not null
group by truth, label
order by images desc, truth, label
limit $how_many;
