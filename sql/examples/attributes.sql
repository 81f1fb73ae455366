-- Which attributes carry most evidence in the whole archive? Over the images whose best class has
-- the attribute: its mean part of the score, and its mean transported similarity.
set variable run = (from (select run from runs order by created desc, run limit 1));
select
    e.attribute,
    count(distinct e.class) as classes,
    count(*) as images,
    round(avg(e.contribution / p.score), 3) as part_of_score,
    round(avg(e.similarity), 4) as similarity
from evidence as e
join predictions as p on p.run = e.run and p.shard = e.shard and p.image_id = e.image_id
where e.run = getvariable('run') and e.rank = 1
group by e.attribute
order by part_of_score desc, e.attribute
limit 20;
