"""Sweeps: a grid of federations and attacks, each computed once, on local processes or on a Ray cluster."""
