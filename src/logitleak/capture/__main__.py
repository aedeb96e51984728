"""``python -m logitleak.capture`` prints the JSON Schema of a capture's description."""

from logitleak.capture.description import schema

print(schema(), end="")
