"""A shop: a catalogue, a basket and a session for each visitor."""
