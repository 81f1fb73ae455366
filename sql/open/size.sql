-- Open: how long is the attached file at least? One row, in bytes. No parameters.
select 12288 + block_size * used_blocks as bytes
from pragma_database_size()
where database_name = 'warehouse';
