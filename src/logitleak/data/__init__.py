"""Data sources, degradations, and the two protocols that divide a data set into public and private."""
