"""Events: what happens, told to whoever asked for it."""
