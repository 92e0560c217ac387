"""Loads files of measurements, each as a job with a log of its own."""
