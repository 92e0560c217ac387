"""A market place with nine routes."""
