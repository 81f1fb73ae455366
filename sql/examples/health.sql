-- Is every run complete, how right is it where it did not abstain, and where did the time go?
select
    s.run,
    s.shards,
    s.listed,
    s.labelled,
    s.abstained,
    s.rejected,
    s.missing,
    round(a.accuracy, 4) as accuracy,
    round(
        coalesce(s.stage_seconds, 0) + coalesce(s.embed_seconds, 0) + coalesce(s.score_seconds, 0),
        1
    ) as seconds,
    (
        select count(*) from reconciliation as c where c.run = s.run and not c.reconciled
    ) as unreconciled
from run_summary as s
left join accuracy as a on a.run = s.run and a.method = 'lazsl'
order by s.created desc, s.run;
