"""One shard or one label set, embedded: reading, decoding, cropping and the model overlapped."""
