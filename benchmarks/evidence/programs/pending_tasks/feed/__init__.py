"""Pushes quotes to those who have asked for them."""
