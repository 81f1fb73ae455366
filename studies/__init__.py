"""What made the embedded model and the research pages. Not shipped."""
