"""Published data sets: their layouts, their splits, their classes by name."""
