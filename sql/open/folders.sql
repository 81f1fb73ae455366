-- Open: folders whose files may be read and written besides. Before `restrict.sql`.
-- Parameters: $folders (a list of paths).
set allowed_directories = $folders;
