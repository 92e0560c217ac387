"""Tells readers about new articles."""
