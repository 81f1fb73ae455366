-- Report: how much may DuckDB hold in memory? What does not fit goes to its temporary folder; by
-- itself it would fill most of the machine. No parameters.
set memory_limit = '256MB';
