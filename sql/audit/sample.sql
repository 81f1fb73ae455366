-- Audit: from which run and archive was a sample drawn? Parameters: $sample.
select distinct run, archive from samples where sample = $sample;
