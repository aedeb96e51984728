"""Plain aggregation: the server gets every upload and averages by itself."""

from __future__ import annotations

from logitleak.aggregation.base import Aggregator


class Plain(Aggregator):
    """Hides nothing: the scheme gets all uploads and does with them what it does."""
