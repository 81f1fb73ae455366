-- Which files are in the archive twice, and were copies called differently? Equal bytes get equal
-- crops, so within one run `called_differently` is 0, or something is wrong.
select
    r.run,
    (select count(*) from labelled as p where p.run = r.run and p.listed) as images,
    count(d.digest) as copied,
    count(d.digest) filter (d.labels_differ) as called_differently,
    min(d.keys[:3]) as example
from runs as r
left join duplicates as d on d.run = r.run
group by r.run
order by r.run;
