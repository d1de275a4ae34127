"""Keep one copy of a model on a host, mapped read-only by every worker.

If every worker unpickled its own model, the host would hold one copy per core. Here the first
worker writes the bytes to a file named by their hash, and every worker maps that file, so all share
its pages.

Next to `HASH.model` lie `HASH.tables-N`, the kernels' layout of the model (also built once per
host), and `HASH.ok`, which is written last. `HASH.ok` records size, inode, modification time and
change time of both files at the moment when their hash and structure were verified. If both files
are exactly as `HASH.ok` describes them, a worker maps them without reading them. Otherwise (a file
is truncated, overwritten or half written) they are verified again, and rebuilt if that fails. So
the hash is computed once per host and again only after a change. One fault goes unnoticed: a disk
that flips bits without reporting it to the operating system.

The folder is KYROS_MODEL_CACHE, or kyros-models-UID in the temporary folder; it must belong to this
user, and nobody else may write to it. All writing happens under one lock. KYROS_MODEL_CACHE_BYTES
(8 GiB) bounds its size: the models unused for longest are removed first. Files in use may be
removed too; their mappings stay valid.
"""

import errno
import fcntl
import json
import logging
import mmap
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kyros_spark.errors import HostStoreError, ModelFormatError
from kyros_spark.model.artefact import Model, model_hash, read_arrays, read_model
from kyros_spark.scoring.kernel_tables import (
    TABLES_VERSION,
    tables_to_bytes,
)

LOG = logging.getLogger(__name__)
DEFAULT_LIMIT_BYTES = 8 << 30


def store_folder() -> Path:
    """Return the folder for this user's models on this host; it may not exist yet."""
    configured = os.environ.get("KYROS_MODEL_CACHE")
    return Path(configured or Path(tempfile.gettempdir()) / f"kyros-models-{os.getuid()}")


def configured_limit() -> int:
    """Return how many bytes of models this host may hold.

    Raises:
        HostStoreError: KYROS_MODEL_CACHE_BYTES is no whole number above 0.
    """
    limit = os.environ.get("KYROS_MODEL_CACHE_BYTES", str(DEFAULT_LIMIT_BYTES))
    if not re.fullmatch(r"[1-9][0-9]{0,17}", limit):
        raise HostStoreError(
            f"KYROS_MODEL_CACHE_BYTES: expected bytes, such as {DEFAULT_LIMIT_BYTES}, found "
            f"{limit[:100]!r}"
        )
    return int(limit)


class ModelOnHost:
    """The store of model files on this host."""

    def __init__(self, folder: Path | None = None, limit_bytes: int | None = None) -> None:
        self.folder = folder or store_folder()
        self.limit_bytes = configured_limit() if limit_bytes is None else limit_bytes

    def put(self, data: Callable[[], bytes], sha256: str) -> Path:
        """Return the model's file, verified; call `data` only if the host lacks it.

        Raises:
            ModelFormatError: `data` is not that model.
            HostStoreError: the host cannot hold it; the message says why.
        """
        path = self._file(sha256, "model")
        if self._is_verified(sha256):
            return path
        try:
            self._make_folder()
            with self._lock():
                if not self._is_verified(sha256) and not self._verify(sha256):
                    self._write(data(), sha256)
        except OSError as error:
            raise HostStoreError(f"model cannot be kept in {self.folder}: {error}") from error
        return path

    def map(self, sha256: str) -> Model:
        """Map a model that `put` has stored.

        Raises:
            OSError: the model has been evicted in the meantime.
        """
        buffer = _mapped(self._file(sha256, "model"))
        _, tables = read_arrays(_mapped(self._file(sha256, f"tables-{TABLES_VERSION}")))
        model = read_model(buffer, trusted=True)
        try:
            os.utime(self._file(sha256, "ok"))  # eviction reads this time
        except OSError:
            LOG.debug("last use of model %s not recorded", sha256)
        return Model(model.manifest, model.arrays, tables or None)

    def _file(self, sha256: str, suffix: str) -> Path:
        return self.folder / f"{sha256}.{suffix}"

    def _files(self, sha256: str) -> list[Path]:
        return [self._file(sha256, "model"), self._file(sha256, f"tables-{TABLES_VERSION}")]

    def _is_verified(self, sha256: str) -> bool:
        try:
            expected = json.loads(self._file(sha256, "ok").read_text())
            return expected == [_identity(path) for path in self._files(sha256)]
        except (OSError, ValueError):
            return False

    def _verify(self, sha256: str) -> bool:
        """Accept a model file whose content is right although its mark is missing or outdated."""
        path = self._file(sha256, "model")
        try:
            data = path.read_bytes()
        except OSError:
            return False
        if model_hash(data) != sha256:
            LOG.warning("model file %s is damaged: rebuilding it", path)
            return False
        self._finish(data, sha256)
        return True

    def _write(self, data: bytes, sha256: str) -> None:
        actual = model_hash(data)
        if actual != sha256:
            raise ModelFormatError(f"model: expected sha256 {sha256}, found {actual}")
        self._evict(keep=sha256, room=2 * len(data))
        self._replace(self._file(sha256, "model"), data)
        self._finish(data, sha256)
        self._evict(keep=sha256, room=0)

    def _finish(self, data: bytes, sha256: str) -> None:
        tables = tables_to_bytes(read_model(data))
        self._replace(self._files(sha256)[1], tables)
        mark = json.dumps([_identity(path) for path in self._files(sha256)])
        self._replace(self._file(sha256, "ok"), mark.encode())

    def _replace(self, path: Path, data: bytes) -> None:
        """Write the file completely or not at all: temporary name, fsync, rename."""
        temporary = path.with_suffix(path.suffix + ".tmp")
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise HostStoreError(
                    f"no room in {self.folder} for a file of {len(data)} bytes; free some or set "
                    "KYROS_MODEL_CACHE to a larger disk"
                ) from error
            raise

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise HostStoreError(f"{self.folder} is not a folder")
        if status.st_uid != os.getuid():
            raise HostStoreError(
                f"{self.folder} belongs to user {status.st_uid}, not {os.getuid()}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HostStoreError(f"{self.folder} can be written by others: chmod 700 it")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self.folder / "lock", "ab", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel if this process dies
            for left_over in self.folder.glob("*.tmp"):
                left_over.unlink(missing_ok=True)
            yield

    def _evict(self, keep: str, room: int) -> None:
        """Remove the models unused for longest until `room` more bytes fit within the limit."""
        sizes: dict[str, int] = {}
        for path in self.folder.glob("*.*"):
            sha256 = path.name.split(".")[0]
            sizes[sha256] = sizes.get(sha256, 0) + path.stat().st_size
        excess = sum(sizes.values()) + room - self.limit_bytes
        for sha256 in sorted(sizes, key=self._last_use):
            if excess <= 0:
                return
            if sha256 == keep:
                continue
            LOG.info("model %s removed from %s to make room", sha256, self.folder)
            for path in sorted(self.folder.glob(f"{sha256}.*"), key=lambda p: p.suffix != ".ok"):
                path.unlink(missing_ok=True)
            excess -= sizes[sha256]

    def _last_use(self, sha256: str) -> float:
        try:
            return self._file(sha256, "ok").stat().st_mtime
        except OSError:
            return 0.0


def _identity(path: Path) -> list[int]:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        raise HostStoreError(f"{path} is not a file of user {os.getuid()}")
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _mapped(path: Path) -> memoryview | bytes:
    """Map a file read-only; if the file system cannot, read the file and log a warning."""
    with open(path, "rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            LOG.warning("%s cannot be mapped (%s): this worker holds its own copy", path, error)
            return file.read()
