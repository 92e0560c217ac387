"""Reads measurements once for two readers."""
