"""Generate a motor portfolio, and run everything on it."""
