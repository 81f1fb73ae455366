"""How many labels are right, estimated from a sample that people judge."""
