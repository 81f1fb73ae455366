-- Which attributes never fire? An attribute fires where it carries more than an even part of the
-- score of the image's best class. Those that fire least, and in how many images they could have.
set variable run = (from (select run from runs order by created desc, run limit 1));
select
    e.class,
    e.attribute,
    count(*) as images,
    count(*) filter (e.similarity > p.score) as fired,
    round(avg(e.similarity), 4) as similarity
from evidence as e
join predictions as p on p.run = e.run and p.shard = e.shard and p.image_id = e.image_id
where e.run = getvariable('run') and e.rank = 1
group by e.class, e.attribute
order by fired / count(*), images desc, similarity, e.class, e.attribute
limit 20;
