-- Lake: write a warehouse as Parquet files, one per table, named by a batch. Many warehouses of a
-- million images each, exported one after the other (or on many machines), make one lake of any
-- size. Rows keep their order, shard by shard, so a condition on run and shard reads little.
-- First: set variable lake = '/lake' (or 's3://bucket/lake'), set variable batch = '0001'.
-- No parameters.
copy runs to (getvariable('lake') || '/runs.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy shards to (getvariable('lake') || '/shards.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy attributes to (getvariable('lake') || '/attributes.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy truth to (getvariable('lake') || '/truth.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy samples to (getvariable('lake') || '/samples.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy reviews to (getvariable('lake') || '/reviews.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy rejects to (getvariable('lake') || '/rejects.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy images to (getvariable('lake') || '/images.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy predictions to (getvariable('lake') || '/predictions.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy scores to (getvariable('lake') || '/scores.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy evidence to (getvariable('lake') || '/evidence.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd);
copy regions to (getvariable('lake') || '/regions.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd, row_group_size 16384);
copy plans to (getvariable('lake') || '/plans.' || getvariable('batch') || '.parquet')
    (format parquet, compression zstd, row_group_size 16384);
