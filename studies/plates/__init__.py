"""The shipped field guide: the same birds, drawn to be looked at (README.md beside this file)."""
