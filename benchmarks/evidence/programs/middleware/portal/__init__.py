"""A portal behind a rate limit, with FastAPI."""
