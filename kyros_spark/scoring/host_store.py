"""Keep one copy of a model on a host, mapped read-only by every worker.

If every worker unpickled its own model, the host would hold one copy per core. Here the first
worker writes the bytes to a file named by their hash, and every worker maps that file, so all share
its pages.

Next to `HASH.model` lie `HASH.tables-N`, the kernels' layout of the model (also built once per
host), and `HASH.ok`, the mark, which is written last. The mark records the hash of both files, and
size, inode, modification time and change time at the moment when their structure was verified.
`put` believes it if it is of this model and both files are exactly as it describes them; otherwise
they are verified again, and rebuilt if that fails. `map` hashes both files' bytes at each opening,
which a worker does once per model: a mark is never a reason to score other bytes.

The folder is KYROS_MODEL_CACHE, or kyros-models-UID in the temporary folder. At each opening it
must be a folder of this user's that nobody else may write to, and so must each file in it; a link
is not followed. All writing happens under one lock. KYROS_MODEL_CACHE_BYTES (8 GiB) bounds its
size: the models unused for longest are removed first. Files in use may be removed too; their
mappings stay valid.
"""

import errno
import fcntl
import json
import logging
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kyros_spark.errors import HostStoreError, ModelFormatError
from kyros_spark.kernels.private_files import file_fault, folder_fault, open_private
from kyros_spark.model.artefact import Model, model_hash, read_arrays, read_model
from kyros_spark.scoring.host_settings import configured_limit, store_folder
from kyros_spark.scoring.kernel_tables import TABLES_VERSION, tables_to_bytes

LOG = logging.getLogger(__name__)
MARK_BYTES = 4096  # more than any mark has


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
        try:
            self._make_folder()
            if self._is_verified(sha256):
                return path
            with self._lock():
                if not self._is_verified(sha256) and not self._verify(sha256):
                    self._write(data(), sha256)
        except OSError as error:
            raise HostStoreError(f"model cannot be kept in {self.folder}: {error}") from error
        return path

    def map(self, sha256: str) -> Model:
        """Map a model that `put` has stored, having hashed the bytes that are mapped.

        Raises:
            OSError: the model has been evicted in the meantime, or is not what its mark says.
            HostStoreError: others could have written the folder or a file in it.
        """
        self._check_folder()
        paths, hashes = self._files(sha256), self._mark(sha256)["sha256"]
        buffers = [_mapped(path) for path in paths]
        for path, buffer, expected in zip(paths, buffers, hashes, strict=True):
            actual = model_hash(buffer)
            if actual != expected:
                self._file(sha256, "ok").unlink(missing_ok=True)  # so that `put` rebuilds it
                raise FileNotFoundError(f"{path}: expected sha256 {expected}, found {actual}")
        _, tables = read_arrays(buffers[1])
        model = read_model(buffers[0], trusted=True)
        try:
            os.utime(self._file(sha256, "ok"))  # eviction reads this time
        except OSError:
            LOG.debug("last use of model %s not recorded", sha256)
        return Model(model.manifest, model.arrays, tables or None)

    def _file(self, sha256: str, suffix: str) -> Path:
        return self.folder / f"{sha256}.{suffix}"

    def _files(self, sha256: str) -> list[Path]:
        return [self._file(sha256, "model"), self._file(sha256, f"tables-{TABLES_VERSION}")]

    def _mark(self, sha256: str) -> dict[str, Any]:
        """Return what the mark says of both files.

        Raises FileNotFoundError if there is none, or it is another model's or damaged.
        """
        path = self._file(sha256, "ok")
        with _opened(path) as file:
            content = file.read(MARK_BYTES)
        try:
            mark: dict[str, Any] = json.loads(content)
            if mark["sha256"][0] == sha256 and len(mark["sha256"]) == len(mark["files"]) == 2:
                return mark
        except (ValueError, LookupError, TypeError):
            LOG.warning("mark %s is damaged: verifying its model again", path)
        raise FileNotFoundError(f"{path} is not the mark of model {sha256}")

    def _is_verified(self, sha256: str) -> bool:
        try:
            mark = self._mark(sha256)
            return bool(mark["files"] == [_identity(path) for path in self._files(sha256)])
        except OSError:
            return False

    def _verify(self, sha256: str) -> bool:
        """Accept a model file whose content is right although its mark is missing or outdated."""
        path = self._file(sha256, "model")
        try:
            with _opened(path) as file:
                data = file.read()
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
        mark = {
            "sha256": [sha256, model_hash(tables)],
            "files": [_identity(path) for path in self._files(sha256)],
        }
        self._replace(self._file(sha256, "ok"), json.dumps(mark).encode())

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
        self._check_folder()

    def _check_folder(self) -> None:
        if fault := folder_fault(self.folder):
            raise HostStoreError(fault)

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
    if fault := file_fault(path, status):
        raise HostStoreError(fault)
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _opened(path: Path) -> IO[bytes]:
    """Open a file of the store; raises HostStoreError if others could have written it."""
    try:
        return open_private(path)
    except PermissionError as error:
        raise HostStoreError(str(error)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HostStoreError(f"{path} is not a file of user {os.getuid()}: a link") from error
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _mapped(path: Path) -> memoryview | bytes:
    """Map a file read-only; if the file system cannot, read the file and log a warning."""
    with _opened(path) as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            LOG.warning("%s cannot be mapped (%s): this worker holds its own copy", path, error)
            return file.read()
