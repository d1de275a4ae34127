"""Generate a motor portfolio and run every stage on it."""
