"""Where artifacts lie: URLs, folders, keys, paths, schemas."""
