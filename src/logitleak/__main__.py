"""``python -m logitleak``."""

from logitleak.cli.command import main

main()
