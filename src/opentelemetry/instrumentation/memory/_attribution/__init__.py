"""Who is growing: segments, routes, containers and lines, asked only while risk is raised."""
