"""Summaries of an arm before it is trained: text, JSON, drawing."""
