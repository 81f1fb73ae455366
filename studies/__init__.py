"""What made the embedded model and the research pages; README.md says which is which. Not shipped."""
