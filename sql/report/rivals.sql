-- Report: what is each class confused with, and because of what? A row per class and rival: how many
-- images called the class had the rival second and how close it came; where the truth is known, how
-- many images of the rival were called the class, and of the class were called the rival; then which
-- attribute spoke most for the class, and which for the rival, among those that tell the two apart.
-- At most $how_many rivals a class. Parameters: $run, $how_many.
with called as (
    select
        p.shard,
        p.image_id,
        s.class as guess,
        p.runner_up,
        p.margin,
        t.label as truth
    from predictions as p
    join runs as r on r.run = p.run
    join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    join scores as s
        on s.run = p.run and s.shard = p.shard and s.image_id = p.image_id and s.rank = 1
    left join truth as t on t.archive = r.archive and t.key = i.key
    where p.run = $run and i.listed
),
pairs as (
    select
        class,
        rival,
        sum(close) as runner_up,
        sum(margin) / nullif(sum(close), 0) as margin,
        sum(taken) as rival_called_class,
        sum(lost) as class_called_rival
    from (
        select guess as class, runner_up as rival, 1 as close, margin, 0 as taken, 0 as lost
        from called where runner_up is not null
        union all
        select guess, truth, 0, null, 1, 0 from called where truth <> guess
        union all
        select truth, guess, 0, null, 0, 1 from called where truth <> guess
    )
    group by class, rival
    qualify row_number() over (
        partition by class
        order by sum(taken) + sum(lost) desc, sum(close) desc, rival
    ) <= $how_many
),
spoken as (
    select c.guess, c.runner_up, e.class, e.attribute, avg(e.similarity) as similarity
    from called as c
    join evidence as e
        on e.run = $run and e.shard = c.shard and e.image_id = c.image_id and e.rank <= 2
    group by c.guess, c.runner_up, e.class, e.attribute
    -- What both classes have cannot tell them apart.
    qualify count(*) over (partition by c.guess, c.runner_up, e.attribute) = 1
),
because as (
    select
        guess,
        runner_up,
        arg_max(attribute, similarity) filter (class = guess) as attribute,
        arg_max(attribute, similarity) filter (class = runner_up) as rival_attribute
    from spoken
    group by guess, runner_up
)
select
    p.*,
    coalesce(b.attribute, o.rival_attribute) as attribute,
    coalesce(b.rival_attribute, o.attribute) as rival_attribute
from pairs as p
left join because as b on b.guess = p.class and b.runner_up = p.rival
left join because as o on o.guess = p.rival and o.runner_up = p.class
order by
    p.class,
    p.rival_called_class + p.class_called_rival desc,
    p.runner_up desc,
    p.rival;
