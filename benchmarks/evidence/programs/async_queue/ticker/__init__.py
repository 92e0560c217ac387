"""Prices for whoever listens."""
