-- Open: nothing outside the opened file can be reached: no file, no network, no extension. Before
-- anything that a file from elsewhere defines is run, such as its views. No parameters.
set enable_external_access = false;
