"""Nets of arms, made of two towers and a fusion."""
