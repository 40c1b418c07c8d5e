"""What the project promises to reach, measured."""
