"""The command line: one file for each family of commands."""

from logitleak.cli.command import main

__all__ = ["main"]
