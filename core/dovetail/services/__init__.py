"""Services: what plugins and hosts offer one another by name."""
