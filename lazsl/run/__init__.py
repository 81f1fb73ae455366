"""A run: a job with its keys, its steps, its models, its status, its way into the warehouse."""
