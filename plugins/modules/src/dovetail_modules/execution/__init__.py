"""What each kind of module does."""
