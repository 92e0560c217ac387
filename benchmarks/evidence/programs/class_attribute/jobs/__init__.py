"""Runs small jobs in threads."""
