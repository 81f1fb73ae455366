-- What do images show most strongly that none of the words of their class say? Each image shows
-- three attributes of the whole label set more than all others; these belong to other classes: words
-- that this class lacks, or that fit too much. Reads the view `shown_attributes`, which has ten of
-- them, so it does not stop at the classes that came near.
set variable run = (from (select run from runs order by created desc, run limit 1));
select
    s.attribute,
    count(*) as images,
    count(distinct s.best_guess) as called_classes,
    round(avg(s.strength), 3) as strength
from shown_attributes as s
where
    s.run = getvariable('run')
    and s.listed
    and s.place <= 3
    and not exists (
        select 1
        from evidence as e
        where
            e.run = s.run
            and e.shard = s.shard
            and e.image_id = s.image_id
            and e.rank = 1
            and e.attribute = s.attribute
    )
group by s.attribute
order by images desc, s.attribute
limit 20;
