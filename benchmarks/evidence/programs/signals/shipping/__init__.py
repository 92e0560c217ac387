"""Sends parcels once they are paid."""
