-- Load: remember which definitions were created. Parameters: $definitions (a digest).
update schema_version set definitions = $definitions;
