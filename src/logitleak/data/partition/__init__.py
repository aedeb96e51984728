"""How private images are divided among clients: each way is a file and a line in the registry."""
