-- Load: judgements that were imported together, added to those that are there.
-- Relation: new_reviews (records.REVIEWS).
insert into reviews by name
select * from new_reviews;
