"""The commands of `opentelemetry-memory`: each adds its parser and runs from parsed arguments."""
