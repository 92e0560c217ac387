"""Draws reports, with a scratch file for each."""
