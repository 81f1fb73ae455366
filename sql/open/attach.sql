-- Open: the warehouse of a file, for reading only. Parameters: $path.
attach $path as warehouse (read_only);
