"""Is it growing, and will it stop: pure arithmetic, no clock, no I/O, no threads."""
