"""The machine: memory that this process holds, keeps and will need."""
