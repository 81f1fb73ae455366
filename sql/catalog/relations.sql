-- Catalog: which tables, views and macros has the warehouse, and what does each hold? The macros'
-- arguments stand in `arguments`. No parameters.
select table_name as name, 'table' as kind, null::varchar[] as arguments, comment
from duckdb_tables()
where database_name = 'warehouse' and not internal
union all
select view_name, 'view', null, comment
from duckdb_views()
where database_name = 'warehouse' and not internal
union all
select function_name, 'macro', parameters, comment
from duckdb_functions()
where database_name = 'warehouse' and function_type = 'table_macro' and not internal
order by kind desc, name;
