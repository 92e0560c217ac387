"""Takes files in parts."""
