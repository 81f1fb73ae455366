-- How do labels go with what you know of the images yourself? Here, where they were taken: a Parquet
-- file of yours. Relation: sites (key, site).
set variable run = (from (select run from runs order by created desc, run limit 1));
select
    s.site,
    count(*) as images,
    count(distinct p.label) as classes,
    mode(p.label order by p.label) as most_often,
    round(avg(p.margin), 4) as margin,
    round(avg(p.correct::integer), 3) as accuracy
from sites as s
join labelled as p on p.key = s.key
where p.run = getvariable('run') and p.listed
group by s.site
order by s.site;
