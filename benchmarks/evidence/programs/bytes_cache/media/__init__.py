"""Serves pictures in the size that each screen asks for."""
