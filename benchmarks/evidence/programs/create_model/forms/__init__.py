"""Checks what is filled into forms that customers have designed."""
