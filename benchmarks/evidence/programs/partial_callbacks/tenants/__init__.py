"""Serves tenants, each with settings that may change."""
