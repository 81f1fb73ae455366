-- Shell completion: which classes begin with what was typed? Parameter: $begin.
select distinct class from attributes where starts_with(class, $begin) order by class limit 50;
