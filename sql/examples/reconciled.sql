-- Does everything add up? Every listed image is labelled or rejected, and every table holds as many
-- rows as its shards had when they were loaded: `off` counts the shards where one does not.
select
    run,
    count(*) as shards,
    sum(listed)::bigint as listed,
    sum(labelled)::bigint as labelled,
    sum(rejected)::bigint as rejected,
    sum(unaccounted)::bigint as unaccounted,
    count(*) filter (not reconciled) as off
from reconciliation
group by run
order by run;
