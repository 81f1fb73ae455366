-- Dashboard: what changed against the run over the same archive that was started before? One row;
-- none where this is the first. Of images that both runs have: how many have another label now.
-- Of each run: the share of rejects, and the mean confidence (null without a temperature) and
-- margin. Parameters: $run.
with this as (
    select run, archive, created from runs where run = $run
),
last as (
    select r.run
    from runs as r
    join this as t on t.archive = r.archive and r.created < t.created
    where exists (select 1 from predictions as p where p.run = r.run)
    order by r.created desc, r.run
    limit 1
),
means as (
    select p.run, avg(p.confidence) as confidence, avg(p.margin) as margin
    from predictions as p
    where p.run in (select run from this union all select run from last)
    group by p.run
),
compared as (
    select
        count(*) as images,
        count(*) filter (a.label is distinct from b.label) as changed
    from predictions as a
    join predictions as b on b.shard = a.shard and b.image_id = a.image_id
    where a.run = (select run from last) and b.run = $run
)
select
    l.run as last_run,
    c.images,
    c.changed,
    b.rejected / nullif(b.listed, 0) as rejected_before,
    n.rejected / nullif(n.listed, 0) as rejected,
    mb.confidence as confidence_before,
    mn.confidence as confidence,
    mb.margin as margin_before,
    mn.margin as margin
from last as l
cross join compared as c
join run_summary as b on b.run = l.run
join run_summary as n on n.run = $run
join means as mb on mb.run = l.run
join means as mn on mn.run = $run;
