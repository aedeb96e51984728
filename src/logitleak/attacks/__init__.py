"""Attacks: functions of a `ServerView` and of nothing else."""
