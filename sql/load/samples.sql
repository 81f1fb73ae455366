-- Load: the images that were drawn for an audit.
-- Relation: new_samples (records.SAMPLES).
insert into samples by name
select * from new_samples;
