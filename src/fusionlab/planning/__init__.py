"""Words -> grid -> arms -> plan, what is checked before it, and the loop that works on it."""
