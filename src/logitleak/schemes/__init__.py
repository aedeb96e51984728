"""Federated-distillation schemes: what the server does in a round, and what clients do when asked."""
