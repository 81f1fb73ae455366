"""`lazsl audit`: a person judges a sample, and the estimate that follows."""
