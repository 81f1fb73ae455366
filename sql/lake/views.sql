-- Lake: the tables of a warehouse as views over a lake's Parquet files. `views.sql` and `macros.sql`
-- run on top, unchanged, and then every question that a warehouse answers. What several batches
-- have in common (runs, label sets, truth) is there once. Columns that an older lazsl did not
-- export are null.
-- First: set variable lake = '/lake' (or 's3://bucket/lake'). No parameters.
create or replace view runs as
select distinct * from read_parquet(getvariable('lake') || '/runs.*.parquet');
create or replace view shards as
select * from read_parquet(getvariable('lake') || '/shards.*.parquet');
create or replace view attributes as
select distinct * from read_parquet(getvariable('lake') || '/attributes.*.parquet');
create or replace view truth as
select distinct * from read_parquet(getvariable('lake') || '/truth.*.parquet');
create or replace view samples as
select distinct * from read_parquet(getvariable('lake') || '/samples.*.parquet');
create or replace view reviews as
select distinct * from read_parquet(getvariable('lake') || '/reviews.*.parquet');
create or replace view rejects as
select * from read_parquet(getvariable('lake') || '/rejects.*.parquet');
create or replace view images as
select * from read_parquet(getvariable('lake') || '/images.*.parquet', union_by_name = true);
create or replace view predictions as
select * from read_parquet(getvariable('lake') || '/predictions.*.parquet', union_by_name = true);
create or replace view scores as
select * from read_parquet(getvariable('lake') || '/scores.*.parquet');
create or replace view evidence as
select * from read_parquet(getvariable('lake') || '/evidence.*.parquet', union_by_name = true);
create or replace view regions as
select * from read_parquet(getvariable('lake') || '/regions.*.parquet');
create or replace view plans as
select * from read_parquet(getvariable('lake') || '/plans.*.parquet', union_by_name = true);
