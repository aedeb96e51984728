"""Audits: probes that score what a server's view gives away, and never see who is in."""
