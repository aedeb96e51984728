"""Numbers of a run or sweep for an experiment tracker: they go into a folder, and nothing goes over a network."""
