-- What did every shard cost? Seconds per station, bytes fetched, crops encoded; the most expensive
-- first. A run that scores stored embeddings fetches and encodes nothing.
select
    h.run,
    h.shard,
    h.listed,
    round(h.stage_seconds, 2) as stage_s,
    round(h.embed_seconds, 2) as embed_s,
    round(h.score_seconds, 2) as score_s,
    round(h.bytes / 1e6, 2) as megabytes,
    h.crops,
    round(h.crops / nullif(h.embed_seconds, 0)) as crops_per_s
from shards as h
order by h.embed_seconds desc nulls last, h.run, h.shard
limit 20;
