"""Logits that were recorded elsewhere: what a capture folder holds, and whether it can be attacked (docs/capture.md).

A capture comes from a stranger: sizes and shapes are checked before anything is read, and no path leaves the folder.
"""
