"""Priors: what the attacker expects a private image to look like, from public data alone."""
