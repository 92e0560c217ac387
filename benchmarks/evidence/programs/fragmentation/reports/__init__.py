"""Builds reports out of many rows, each a little wider than the one before."""
