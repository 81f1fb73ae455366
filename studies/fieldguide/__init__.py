"""The birds that both field guides know, and the drawing and training of the first guide."""
