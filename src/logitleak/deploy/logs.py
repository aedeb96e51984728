"""This package's log, beside Flower's."""

from __future__ import annotations

import logging

from logitleak.errors import UserError


def show_log() -> None:
    """Send this package's log where Flower's goes, and leave a user's mistake the one line that it is."""
    logger, flower = logging.getLogger("logitleak"), logging.getLogger("flwr")
    logger.setLevel(logging.INFO)
    for handler in flower.handlers:
        logger.addHandler(handler)
    flower.addFilter(without_traceback)


def without_traceback(record: logging.LogRecord) -> bool:
    """Flower logs an exception that ends an app with its traceback; a `UserError` says all in its line."""
    if record.exc_info and isinstance(record.exc_info[1], UserError):
        record.exc_info = None
    return True
