-- Audit: how many listed images did a run call what? Null: those it abstained from.
-- Parameters: $run.
select p.label, count(*) as images
from labelled as p
where p.run = $run and p.listed
group by p.label;
