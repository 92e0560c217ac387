"""Takes readings of meters in a binary format, with a decoder in C."""
