"""Books entries on accounts, with SQLAlchemy."""
