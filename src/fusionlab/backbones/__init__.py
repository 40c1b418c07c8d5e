"""Towers: one stream's network, cut open at named places (taps)."""
