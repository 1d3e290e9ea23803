"""Finding, choosing, loading, starting and stopping plugins."""
