-- Is this file a warehouse, and which? One row; an error where there is no such table.
-- No parameters.
select version, definitions from schema_version;
