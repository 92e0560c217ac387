"""A clinic whose every name is somebody's secret. What is secret comes in by the environment."""
