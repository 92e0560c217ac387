"""Builds reports out of rows; there are more of them each time."""
