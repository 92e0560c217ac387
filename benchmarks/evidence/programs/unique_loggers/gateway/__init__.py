"""Passes requests on to the tenants' own backends."""
