-- Who judged how much, and what of every sample is still to be judged?
select
    s.sample,
    s.strata,
    count(*) as drawn,
    count(v.key) as judged,
    count(*) - count(v.key) as to_do,
    count(*) filter (not v.agreed) as disputed,
    list(distinct r.reviewer order by r.reviewer) filter (r.reviewer is not null) as reviewers
from samples as s
left join reviewed as v on v.archive = s.archive and v.key = s.key and v.digest = s.digest
left join (
    select archive, key, digest, min(reviewer) as reviewer
    from reviews
    group by archive, key, digest
) as r on r.archive = s.archive and r.key = s.key and r.digest = s.digest
group by s.sample, s.strata
order by s.sample;
