"""The five stages of a turn, and what works in them."""
