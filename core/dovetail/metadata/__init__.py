"""What models and functions say of themselves, for people, for models and for other code."""
