"""Measurements of speed and memory, with their limits."""
