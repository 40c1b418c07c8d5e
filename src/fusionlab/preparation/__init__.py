"""Video files -> the packed store."""
