"""`lazsl evaluate`: how right every method is, how far to trust it, and controls."""
