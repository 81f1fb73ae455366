-- Load: which samples and which imported judgements are in the warehouse already? No parameters.
select distinct 'samples' as kind, archive, sample as batch from samples
union all
select distinct 'reviews', archive, batch from reviews;
