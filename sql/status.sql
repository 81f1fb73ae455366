-- How is a run doing, as far as it is loaded? One row: reconciled counts, rejects by reason,
-- accuracy of each method where truth is known (null where it is not) of the images it did not
-- abstain on, seconds per station, crops that were embedded per labelled image and, where not all
-- were asked for, the share of labels that the others are estimated to change.
-- Parameters: $run.
select
    r.run,
    r.archive,
    r.archive_url,
    r.model,
    r.encoder,
    r.regions,
    r.labels,
    r.classes,
    r.attributes,
    strftime(r.created, '%Y-%m-%dT%H:%M:%SZ') as created,
    strftime(s.finished_at, '%Y-%m-%dT%H:%M:%SZ') as finished,
    s.shards,
    s.listed,
    s.labelled,
    s.abstained,
    s.rejected,
    s.missing,
    (
        select count(*)
        from shards as h
        join images as i on i.archive = r.archive and i.shard = h.shard
        where h.run = r.run and not i.listed
    ) as no_longer_listed,
    (
        select count(*) from reconciliation as c where c.run = r.run and not c.reconciled
    ) as unreconciled_shards,
    coalesce(
        (select map_from_entries(list((x.reason, x.images) order by x.reason))
            from reject_reasons as x where x.run = r.run),
        map {}
    ) as rejects,
    (
        select map_from_entries(list((a.method, a.accuracy) order by a.method))
        from accuracy as a where a.run = r.run
    ) as accuracy,
    coalesce((select max(a.images) from accuracy as a where a.run = r.run), 0) as judged,
    {'stage': s.stage_seconds, 'embed': s.embed_seconds, 'score': s.score_seconds} as seconds,
    s.crops,
    s.seen,
    s.doubt,
    s.bytes
from runs as r
join run_summary as s on s.run = r.run
where r.run = $run;
