"""Sums of uploads where every client has its own keys, and the server none."""
