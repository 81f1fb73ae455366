-- Catalog: which columns has each table and view, and what does each mean? A view's column means what
-- the tables' columns of its name mean, where these agree. No parameters.
with columns as (
    select table_name, column_index, column_name, data_type, comment
    from duckdb_columns()
    where database_name = 'warehouse' and not internal
),
meanings as (
    select column_name, any_value(comment) as comment
    from columns
    where comment is not null
    group by column_name
    having count(distinct comment) = 1
)
select c.table_name as relation, c.column_name as name, c.data_type as type,
    coalesce(c.comment, m.comment) as comment
from columns as c
left join meanings as m on m.column_name = c.column_name
order by c.table_name, c.column_index;
