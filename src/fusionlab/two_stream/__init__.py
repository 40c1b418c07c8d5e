"""Nets made of two towers and a fusion: what an arm trains."""
