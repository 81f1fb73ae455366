"""`lazsl explain`: one picture, and why it was called what it was called."""
