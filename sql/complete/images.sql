-- Shell completion: which keys begin with what was typed? Parameter: $begin.
select distinct key from images where starts_with(key, $begin) order by key limit 50;
