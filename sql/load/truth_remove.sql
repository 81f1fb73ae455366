-- Load: forget what was known of an archive, before `truth.sql`. Parameters: $archive.
delete from truth where truth.archive = $archive;
