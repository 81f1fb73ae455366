"""The field guide's plates: the same birds, drawn to be looked at (README.md beside this file)."""
