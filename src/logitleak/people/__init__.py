"""Made-up people: drawn head by head, no photograph involved.

``generate`` renders new populations, ``pack`` loads the one that ships with the package. The population is
a set of random draws and is not calibrated to any real one.
"""
