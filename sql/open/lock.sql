-- Open: from here on no setting can be changed. After `restrict.sql`, before a stranger's query.
-- No parameters.
set lock_configuration = true;
