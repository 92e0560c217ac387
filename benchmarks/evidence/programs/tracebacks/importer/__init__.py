"""Reads rows that partners send, and says at the end which of them were bad."""
