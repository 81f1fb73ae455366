"""`python -m lazsl.cli`."""

from lazsl.cli import main

main()
