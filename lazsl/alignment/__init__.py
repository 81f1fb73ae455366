"""The method on arrays, without files or images: transport, matching, bounds, chosen classes."""
