"""Metrics: how much of a private image came back, and what the federation is worth."""
