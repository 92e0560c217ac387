"""Runs flows whose steps leave a trail."""
