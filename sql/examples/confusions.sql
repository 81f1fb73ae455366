-- Which classes are taken for which, most often first? Needs truth. All runs.
select run, truth, label, count(*) as images, round(avg(margin), 4) as mean_margin
from labelled
where not correct and listed
group by run, truth, label
order by images desc, run, truth, label
limit 20;
