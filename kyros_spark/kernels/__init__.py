"""Hold the loops over arrays; this package imports numba and numpy, no other package of ours."""
