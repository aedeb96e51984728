"""``python -m logitleak``."""

from logitleak.cli import main

main()
