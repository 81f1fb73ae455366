-- Load: forget the boxes of some shards, before they are loaded anew.
-- Parameters: $encoder, $regions. Relation: forgotten (shard).
delete from regions
where regions.encoder = $encoder
    and regions.regions = $regions
    and regions.shard in (select forgotten.shard from forgotten);
