-- Report: which run is it, how did it go, and do its counts add up? One row.
-- Parameters: $run.
select
    s.*,
    r.archive_url,
    r.labels,
    r.classes,
    r.attributes,
    r.job,
    r.software,
    (
        select count(*)
        from predictions as p
        where p.run = $run and p.label is null
    ) as abstained,
    (
        select count(*)
        from predictions as p
        where p.run = $run and p.parent_label is not null
    ) as parents,
    (
        select count(*)
        from predictions as p
        join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
        where p.run = $run and not i.listed
    ) as unlisted,
    (select count(*) from reconciliation as c where c.run = $run and not c.reconciled)
        as unreconciled,
    (select max(version) from schema_version) as schema_version
from run_summary as s
join runs as r on r.run = s.run
where s.run = $run;
