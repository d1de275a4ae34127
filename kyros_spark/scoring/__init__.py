"""Score Arrow batches in a worker: one model per host, with a kernel chosen for the host's CPU.

Import this package before numba: it switches numba's threads off, because Spark owns the cores.
"""

import os

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
