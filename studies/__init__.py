"""What made the embedded model and the research pages (README.md). Not shipped."""
