"""What clients do to their outputs on the public set before these leave them, or while they learn private images."""
