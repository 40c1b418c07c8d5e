"""What runs leave behind, and the laws that make it comparable (standard library only)."""
