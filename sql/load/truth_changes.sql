-- Load: would a truth table change anything? One row, the number of rows it adds or removes.
-- Parameters: $archive. Relation: new_truth (key, label).
with before as (
    select key, label from truth where truth.archive = $archive
),
after as (
    select distinct key, label from new_truth where key is not null and label is not null
)
select
    (select count(*) from (from after except from before))
    + (select count(*) from (from before except from after));
