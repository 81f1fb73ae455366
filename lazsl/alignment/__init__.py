"""The method on arrays, without files or images: transport, plans, bounds of scores."""
