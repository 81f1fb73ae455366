-- Load: the row of a run, once.
-- Parameters: $run, $archive, $archive_url, $encoder, $regions, $labels, $model, $classes,
-- $attributes, $job and $software (JSON texts), $created (ISO 8601 with its offset).
insert into runs (
    run, archive, archive_url, encoder, regions, labels, model, classes, attributes, job, software,
    created
)
select
    $run, $archive, $archive_url, $encoder, $regions, $labels, $model, $classes, $attributes,
    $job::json, $software::json, timezone('UTC', $created::timestamptz)
where not exists (select 1 from runs where runs.run = $run);
