"""Score Arrow batches in a worker: the model once a host, a kernel chosen for the host's CPU.

Import this package before numba: Spark owns the cores, so numba's own threads are switched off.
"""

import os

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
