"""Label sets: read, written, criticised, and exchanged with the published formats."""
