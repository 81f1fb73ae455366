-- Lake: what the views stand for: the version of the tables. Parameters: $version, $definitions.
create or replace table schema_version as
select $version::integer as version, $definitions::varchar as definitions;
