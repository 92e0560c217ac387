"""Renders pages of a manual out of a tree of sections."""
