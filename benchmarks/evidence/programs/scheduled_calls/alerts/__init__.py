"""Tells people once that a limit was passed, and again if nobody answers."""
