"""When to fuse: what happens to time above the fusion."""
