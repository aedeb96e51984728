"""What both reports draw with."""
