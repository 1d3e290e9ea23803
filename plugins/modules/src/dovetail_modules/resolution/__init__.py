"""How the modules of a turn come to their texts."""
