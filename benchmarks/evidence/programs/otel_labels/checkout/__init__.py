"""Takes payments, and counts them with OpenTelemetry."""
