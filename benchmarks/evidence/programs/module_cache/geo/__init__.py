"""Tells how far it is between two places."""
