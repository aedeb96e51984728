"""What must not be seen: private images, who holds them, and the coins. No attack imports it."""
