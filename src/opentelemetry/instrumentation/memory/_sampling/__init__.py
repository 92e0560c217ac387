"""When to look, what it may cost, and what to keep."""
