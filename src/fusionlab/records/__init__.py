"""Records of runs, and the laws that make them comparable (standard library only)."""
