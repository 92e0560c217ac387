"""The programs of the catalogue that are made, not recorded."""
