"""How uploads become one: each seen by the server, or their sum alone."""
