"""A static site about one run, to be opened from disk or from a bucket: no server, no request to
anywhere else. `lazsl report` makes it."""
