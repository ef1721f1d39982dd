"""`python -m strop.cli`."""

from strop.cli.main import main

main()
