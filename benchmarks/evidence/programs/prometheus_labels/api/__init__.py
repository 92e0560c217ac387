"""An API with metrics for Prometheus."""
