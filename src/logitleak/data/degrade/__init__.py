"""Degradations: how an insensitive image is made from a sensitive one."""
