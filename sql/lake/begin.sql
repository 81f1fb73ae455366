-- Lake: a database in memory that stands for the warehouse. No parameters.
attach ':memory:' as warehouse;
use warehouse;
