"""What is done when the verdict changes: files, signals, and nothing that could stop the host."""
