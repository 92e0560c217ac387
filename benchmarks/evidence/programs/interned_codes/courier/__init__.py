"""Follows parcels through the networks of others."""
