-- Which labels did a run give most, and how sure was it? Largest first; images without a label
-- (abstained) are a row of their own with a null label. Parameters: $run, $how_many.
select label, count(*) as images, round(avg(margin), 4) as mean_margin
from predictions
where run = $run
group by label
order by images desc, label
limit $how_many;
