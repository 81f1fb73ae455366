"""`lazsl report`: a static site of one run."""
