"""Options -> grid -> arms -> plan, the checks before it, and the loop that works on it."""
