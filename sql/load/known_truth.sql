-- Load: what is known to be shown in the images of an archive? Parameters: $archive.
select key, label from truth where truth.archive = $archive order by key;
