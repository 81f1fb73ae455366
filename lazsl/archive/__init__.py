"""From a bucket to one shard on the local disk: listing, selection, manifest, staging, truth."""
