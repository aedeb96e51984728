"""A federation of real processes: the same schemes over Flower, recorded as every simulation is.

`flower` is the only file that imports Flower; everything else here runs, and is tested, without it.
"""
