"""Hold a process and all that it starts below a limit of memory, by a control group of Linux."""

import contextlib
import os
import uuid
from pathlib import Path

_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_limit(mib):
    """Yield what to do in the child before it runs, or None where no group can be made.

    Above the limit, with nothing left that can be written out, the kernel kills.
    """
    version_2 = (_V2 / "cgroup.controllers").exists()
    group = (_V2 if version_2 else _V1) / f"kyros-bench-{uuid.uuid4().hex[:8]}"
    limit = "memory.max" if version_2 else "memory.limit_in_bytes"
    try:
        group.mkdir()
        (group / limit).write_text(str(mib * 2**20))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()
