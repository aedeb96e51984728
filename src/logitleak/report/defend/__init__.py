"""The page that compares defenses."""
