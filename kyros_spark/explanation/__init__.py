"""Explain raw scores: split each one, exactly, into a base and one contribution per feature."""

import kyros_spark.scoring  # noqa: F401  (switches numba's threads off before numba is imported)
