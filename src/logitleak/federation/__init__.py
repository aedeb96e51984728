"""Clients and their models: banks that train, channels that ask, and what counts as an answer."""
