"""Hold the loops over arrays: numba and numpy only, nothing of ours outside this package."""
