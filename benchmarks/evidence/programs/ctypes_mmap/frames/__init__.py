"""Takes pictures of a camera through buffers that the driver could write into."""
