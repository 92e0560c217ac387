"""Crops and measures pictures in a pool of threads."""
