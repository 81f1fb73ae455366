-- Lake: the tables of a warehouse as views over Parquet files. `views.sql` and `macros.sql` run on
-- top, unchanged, and then every question that a warehouse answers. What several files have in
-- common (runs, label sets, truth) is there once. Columns that an older lazsl did not write are null.
-- First: set variable lake_runs and so on, of each table a list of its files, and lake_mixed: whether
-- these have different columns. No parameters.
create or replace view runs as
select distinct *
from read_parquet(getvariable('lake_runs'), union_by_name = getvariable('lake_mixed'));
create or replace view shards as
select distinct *
from read_parquet(getvariable('lake_shards'), union_by_name = getvariable('lake_mixed'));
create or replace view attributes as
select distinct *
from read_parquet(getvariable('lake_attributes'), union_by_name = getvariable('lake_mixed'));
create or replace view truth as
select distinct *
from read_parquet(getvariable('lake_truth'), union_by_name = getvariable('lake_mixed'));
create or replace view samples as
select distinct *
from read_parquet(getvariable('lake_samples'), union_by_name = getvariable('lake_mixed'));
create or replace view reviews as
select distinct *
from read_parquet(getvariable('lake_reviews'), union_by_name = getvariable('lake_mixed'));
create or replace view rejects as
select * from read_parquet(getvariable('lake_rejects'), union_by_name = getvariable('lake_mixed'));
create or replace view predictions as
select *
from read_parquet(getvariable('lake_predictions'), union_by_name = getvariable('lake_mixed'));
create or replace view scores as
select * from read_parquet(getvariable('lake_scores'), union_by_name = getvariable('lake_mixed'));
create or replace view evidence as
select *
from read_parquet(getvariable('lake_evidence'), union_by_name = getvariable('lake_mixed'));
create or replace view regions as
select * from read_parquet(getvariable('lake_regions'), union_by_name = getvariable('lake_mixed'));
create or replace view plans as
select * from read_parquet(getvariable('lake_plans'), union_by_name = getvariable('lake_mixed'));
-- Files of images never change when a listing does: what is no longer listed stands in files of its
-- own, with a row without an image for every archive that they speak of.
create or replace view images as
with unlisted as (
    select * from read_parquet(getvariable('lake_unlisted'))
)
select
    i.* replace (
        case
            when i.archive in (select u.archive from unlisted as u where u.image_id is null)
                then u.image_id is null
            else i.listed
        end as listed
    )
from read_parquet(
    getvariable('lake_images'), union_by_name = getvariable('lake_mixed')
) as i
left join unlisted as u
    on u.archive = i.archive and u.shard = i.shard and u.image_id = i.image_id;
