"""Temporal heads: the treatment of time above the fusion."""
