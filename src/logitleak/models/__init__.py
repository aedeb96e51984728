"""Classifiers: images uint8 or float [n, 3, H, W] in, logits [n, J] out."""
