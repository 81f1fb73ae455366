-- Which questions can be asked about one run, one image, one class? Every table macro, to be used
-- as `from why('run', 'image')`. An image is named by its image_id or by its key.
-- Running it again changes nothing. No parameters.
--
-- Arguments have names that no column has: inside a macro, and in the views it reads, a bare column
-- name that is also an argument would mean the argument.

-- Which run is meant? By its key, or by the beginning of it that no other run has.
create or replace macro run_named(the_run) as (
    select
        case
            when bool_or(r.run = the_run) then the_run
            when count(*) = 1 then min(r.run)
            when count(*) = 0 then error('no run begins with ' || the_run || '; ask: from runs')
            else error(count(*) || ' runs begin with ' || the_run || '; ask: from runs')
        end
    from runs as r
    where starts_with(r.run, the_run)
);
comment on macro run_named is 'the key of the run that begins like this';

-- Which image of a run is meant? By image_id, or by key; of several versions of a key the listed
-- one.
create or replace macro image_of(the_run, the_image) as table
select
    r.run, i.archive, i.shard, i.image_id, i.key, i.uri, i.width, i.height, r.encoder, r.regions
from runs as r
join shards as s on s.run = r.run
join images as i on i.archive = r.archive and i.shard = s.shard
where r.run = run_named(the_run) and (i.image_id = the_image or i.key = the_image)
order by i.image_id = the_image desc, i.listed desc, i.version desc, i.image_id
limit 1;
comment on macro table image_of is
    'which image of a run is meant by an image_id or a key';

-- What speaks for a class in an image? A row per attribute, strongest first: its contribution to
-- the class's score, its share of that score, and the region that contributes most, with its box.
-- Empty when the class is not among the image's best.
create or replace macro why_class(the_run, the_image, the_class) as table
select
    e.class,
    e.attribute_index,
    e.attribute,
    e.contribution,
    e.contribution / nullif(sum(e.contribution) over (), 0) as share,
    e.similarity,
    e.best_region,
    e.best_share,
    e.presence,
    g.boxes[e.best_region + 1] as box
from image_of(the_run, the_image) as i
join evidence as e
    on e.run = i.run and e.shard = i.shard and e.image_id = i.image_id and e.class = the_class
left join regions as g
    on g.encoder = i.encoder
    and g.regions = i.regions
    and g.shard = i.shard
    and g.image_id = i.image_id
order by e.contribution desc, e.attribute_index;
comment on macro table why_class is
    'what speaks for a class in an image: a row per attribute, strongest first';

-- Why was an image called what it was called? The same for its best class, which is its label; an
-- abstained image has none.
create or replace macro why(the_run, the_image) as table
select
    p.label,
    e.class as best_guess,
    e.attribute_index,
    e.attribute,
    e.contribution,
    e.contribution / nullif(sum(e.contribution) over (), 0) as share,
    e.similarity,
    e.best_region,
    e.best_share,
    e.presence,
    g.boxes[e.best_region + 1] as box
from image_of(the_run, the_image) as i
join predictions as p on p.run = i.run and p.shard = i.shard and p.image_id = i.image_id
join evidence as e
    on e.run = i.run and e.shard = i.shard and e.image_id = i.image_id and e.rank = 1
left join regions as g
    on g.encoder = i.encoder
    and g.regions = i.regions
    and g.shard = i.shard
    and g.image_id = i.image_id
order by e.contribution desc, e.attribute_index;
comment on macro table why is
    'why an image was called so: a row per attribute of its best class, strongest first';

-- What else might an image be? Its best classes with every method's score.
create or replace macro best_classes(the_run, the_image) as table
select s.rank, s.class, s.score, s.clip_score, s.dclip_score, s.crop_mean_score
from image_of(the_run, the_image) as i
join scores as s on s.run = i.run and s.shard = i.shard and s.image_id = i.image_id
order by s.rank;
comment on macro table best_classes is
    'what else an image might be: its best classes with every method''s score';

-- Which region of an image spoke for which attribute? The cells of its kept plans. (The same as in
-- the view `plan_cells`, with the image found first: so only its own plans are taken apart.)
create or replace macro plan_of(the_run, the_image) as table
with cells as (
    select
        i.run,
        i.shard,
        i.image_id,
        i.encoder,
        i.regions as regions_key,
        p.rank,
        p.class,
        p.regions,
        p.attributes,
        unnest(p.mass) as mass,
        unnest(p.similarity) as similarity,
        unnest(range(len(p.mass))) as position
    from image_of(the_run, the_image) as i
    join plans as p on p.run = i.run and p.shard = i.shard and p.image_id = i.image_id
)
select
    c.rank,
    c.class,
    c.regions[c.position // c.attributes + 1] as region,
    (c.position % c.attributes)::smallint as attribute_index,
    a.attribute,
    c.mass,
    c.similarity,
    c.mass * c.similarity as contribution,
    g.boxes[c.regions[c.position // c.attributes + 1] + 1] as box
from cells as c
join runs as r on r.run = c.run
left join attributes as a
    on a.labels = r.labels
    and a.class = c.class
    and a.attribute_index = c.position % c.attributes
left join regions as g
    on g.encoder = c.encoder
    and g.regions = c.regions_key
    and g.shard = c.shard
    and g.image_id = c.image_id
order by c.rank, c.position;
comment on macro table plan_of is
    'which region of an image spoke for which attribute: the cells of its kept plans';

-- Which attributes carry a class most, over the images whose best class it is?
create or replace macro strongest_attributes(the_run, the_class, how_many := 10) as table
select s.attribute_index, s.attribute, s.images, s.contribution, s.similarity, s.lift
from attribute_strength as s
where s.run = run_named(the_run) and s.class = the_class
order by s.contribution desc, s.attribute_index
limit how_many;
comment on macro table strongest_attributes is
    'which attributes carry a class most, over the images whose best class it is';

-- Which attributes carry a class least?
create or replace macro weakest_attributes(the_run, the_class, how_many := 10) as table
select s.attribute_index, s.attribute, s.images, s.contribution, s.similarity, s.lift
from attribute_strength as s
where s.run = run_named(the_run) and s.class = the_class
order by s.contribution, s.attribute_index
limit how_many;
comment on macro table weakest_attributes is
    'which attributes carry a class least';

-- Which images were close calls: their two best classes less than a margin apart? Closest first.
create or replace macro close_calls(the_run, below) as table
select p.image_id, p.key, p.label, p.best_guess, p.runner_up, p.score, p.margin, p.truth
from labelled as p
where p.run = run_named(the_run) and p.margin < below
order by p.margin, p.key, p.image_id;
comment on macro table close_calls is
    'images whose two best classes are less than a margin apart, closest first';

-- Which images do two runs of one archive call differently? Where one of them abstained it has no
-- label, and its best guess is compared.
create or replace macro disagreements(run_a, run_b) as table
select
    a.image_id,
    a.key,
    a.label as label_a,
    b.label as label_b,
    a.best_guess as best_guess_a,
    b.best_guess as best_guess_b,
    a.score as score_a,
    b.score as score_b,
    a.margin as margin_a,
    b.margin as margin_b,
    a.truth
from labelled as a
join guesses as b on b.shard = a.shard and b.image_id = a.image_id
where a.run = run_named(run_a) and b.run = run_named(run_b) and a.best_guess <> b.best_guess
order by a.key, a.image_id;
comment on macro table disagreements is
    'images that two runs of one archive call differently';

-- Which attributes moved where two runs disagree? For both best guesses of each such image, every
-- attribute's contribution in either run, largest change first. An attribute that one run's label
-- set does not have contributes 0 there; null: the class was not among the image's best in that
-- run. All shards are compared, or those up to the last one.
create or replace macro moved_attributes(run_a, run_b, last_shard := null::varchar) as table
with images_between as (
    select a.shard, a.image_id, a.best_guess as guess_a, b.best_guess as guess_b
    from guesses as a
    join guesses as b on b.shard = a.shard and b.image_id = a.image_id
    where
        a.run = run_a
        and b.run = run_b
        and a.best_guess <> b.best_guess
        and (last_shard is null or (a.shard <= last_shard and b.shard <= last_shard))
),
evidence_a as (
    select e.shard, e.image_id, e.class, e.attribute, sum(e.contribution) as contribution
    from evidence as e
    join images_between as m
        on m.shard = e.shard and m.image_id = e.image_id and e.class in (m.guess_a, m.guess_b)
    where e.run = run_a and (last_shard is null or e.shard <= last_shard)
    group by e.shard, e.image_id, e.class, e.attribute
),
evidence_b as (
    select e.shard, e.image_id, e.class, e.attribute, sum(e.contribution) as contribution
    from evidence as e
    join images_between as m
        on m.shard = e.shard and m.image_id = e.image_id and e.class in (m.guess_a, m.guess_b)
    where e.run = run_b and (last_shard is null or e.shard <= last_shard)
    group by e.shard, e.image_id, e.class, e.attribute
),
paired as (
    select
        coalesce(a.shard, b.shard) as shard,
        coalesce(a.image_id, b.image_id) as image_id,
        coalesce(a.class, b.class) as class,
        coalesce(a.attribute, b.attribute) as attribute,
        a.contribution as a,
        b.contribution as b
    from evidence_a as a
    full join evidence_b as b
        on b.shard = a.shard
        and b.image_id = a.image_id
        and b.class = a.class
        and b.attribute is not distinct from a.attribute
),
known as (
    select
        p.shard,
        p.image_id,
        p.class,
        p.attribute,
        case when count(p.a) over same_class > 0 then coalesce(p.a, 0) end as a,
        case when count(p.b) over same_class > 0 then coalesce(p.b, 0) end as b
    from paired as p
    window same_class as (partition by p.shard, p.image_id, p.class)
)
select
    k.image_id,
    i.key,
    m.guess_a as best_guess_a,
    m.guess_b as best_guess_b,
    k.class,
    k.attribute,
    k.a as contribution_a,
    k.b as contribution_b,
    k.b - k.a as change
from known as k
join images_between as m on m.shard = k.shard and m.image_id = k.image_id
join runs as r on r.run = run_a
left join images as i
    on i.archive = r.archive and i.shard = k.shard and i.image_id = k.image_id
order by abs(k.b - k.a) desc nulls last, k.image_id, k.class, k.attribute;
comment on macro table moved_attributes is
    'which attributes moved where two runs disagree, largest change first';

-- From which images is an audit drawn? Every listed image that a run labelled, with its best class
-- and its margin's band: a quarter of the images each, the closest calls in band 1. Both are null
-- unless they make strata.
create or replace macro audit_frame(the_run, by_label, by_margin) as table
select
    p.shard,
    p.image_id,
    i.key,
    i.digest,
    s.class as best_class,
    case when by_label then s.class end as label,
    case when by_margin then ntile(4) over (order by p.margin, p.image_id) end as band
from predictions as p
join runs as r on r.run = p.run
join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
join scores as s
    on s.run = p.run and s.shard = p.shard and s.image_id = p.image_id and s.rank = 1
where p.run = the_run and i.listed;
comment on macro table audit_frame is
    'the images that an audit is drawn from, with their best class and margin band';
