-- Audit: which samples of an archive were drawn, and how many of their images were judged? Most
-- judged first. Parameters: $archive.
select s.sample, s.run, count(*) as drawn, count(v.key) as judged
from samples as s
left join reviewed as v on v.archive = s.archive and v.key = s.key and v.digest = s.digest
where s.archive = $archive
group by s.sample, s.run
order by judged desc, drawn desc, s.sample;
