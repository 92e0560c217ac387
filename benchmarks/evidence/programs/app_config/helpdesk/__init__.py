"""Answers tickets, with switches for each of them."""
