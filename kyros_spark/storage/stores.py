"""Describe a file system that tasks open themselves, without Spark's: local disks, S3.

A description travels to the tasks and holds no secret: on S3 they take their credentials as the
AWS libraries do, from the environment or from the machine. So S3 is opened only where Hadoop is not
told to reach it in another way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.fs import (
    FileSelector,
    FileSystem,
    FileType,
    LocalFileSystem,
    S3FileSystem,
    resolve_s3_region,
)
from pyspark.sql import SparkSession

from kyros_spark.config import is_remote
from kyros_spark.storage.files import local_path

S3 = ("s3://", "s3a://")
# Spark itself hands them to Hadoop from the environment, where tasks have them too.
_FROM_ENVIRONMENT = {
    "fs.s3a.access.key": "AWS_ACCESS_KEY_ID", "fs.s3a.secret.key": "AWS_SECRET_ACCESS_KEY",
    "fs.s3a.session.token": "AWS_SESSION_TOKEN",
}  # fmt: skip
# How Hadoop and EMR may be told to reach S3 in a way of their own: keys, roles, encryption, rights.
_OWN_WAYS = (
    *_FROM_ENVIRONMENT,
    "fs.s3a.aws.credentials.provider", "fs.s3a.assumed.role.arn", "fs.s3a.acl.default",
    "fs.s3a.encryption.algorithm", "fs.s3a.server-side-encryption-algorithm",
    "fs.s3a.encryption.key", "fs.s3a.server-side-encryption.key", "fs.s3a.encryption.context",
    "fs.s3a.requester.pays.enabled", "fs.s3a.proxy.host", "fs.s3a.access.grants.enabled",
    "fs.s3.enableServerSideEncryption", "fs.s3.serverSideEncryption.kms.keyId", "fs.s3.cse.enabled",
    "fs.s3.canned.acl", "fs.s3.customAWSCredentialsProvider", "fs.s3.authorization.roleMapping",
    "fs.s3.s3AccessGrants.enabled",
)  # fmt: skip
_DEFAULTS = "core-default.xml"  # Hadoop's own


@dataclass(frozen=True)
class Store:
    """A file system: S3 if it has a region, else this machine's. endpoint: of S3, "" for AWS's."""

    region: str = ""
    endpoint: str = ""

    @property
    def is_remote(self) -> bool:
        """Return whether it is no disk of this machine."""
        return bool(self.region)

    def path(self, address: str) -> str:
        """Return an address as this file system has it."""
        return address.split("://", 1)[1] if self.is_remote else str(local_path(address))

    def size(self, path: str) -> int:
        """Return a file's bytes.

        Raises:
            OSError: it is not there, or cannot be reached.
        """
        if not self.is_remote:
            return os.path.getsize(path)
        size = self.opened().get_file_info(path).size
        if size is None:
            raise FileNotFoundError(path)
        return int(size)

    def reader(self, path: str) -> pa.NativeFile | str:
        """Return a file as Parquet's reader takes it."""
        return self.opened().open_input_file(path) if self.is_remote else path

    def writer(self, path: str) -> pa.NativeFile:
        """Return a new file, its folder made if need be; on S3 it is there once it is closed."""
        if not self.is_remote:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return self.opened().open_output_stream(path)

    def remove(self, path: str) -> None:
        """Remove a file, as far as that is possible."""
        with suppress(OSError):
            self.opened().delete_file(path)

    def files_in(self, folder: str) -> Iterator[str]:
        """Yield the files of a folder, which may be missing."""
        for file in self.opened().get_file_info(FileSelector(folder, allow_not_found=True)):
            if file.type == FileType.File:
                yield file.path

    def opened(self) -> FileSystem:
        """Return the file system, opened once in each process."""
        return _opened(self)


LOCAL = Store()


@cache
def _opened(store: Store) -> FileSystem:
    if not store.is_remote:
        return LocalFileSystem()
    scheme, _, host = store.endpoint.rpartition("://")
    options = {"endpoint_override": host, "scheme": scheme or "https"} if host else {}
    return S3FileSystem(region=store.region, **options)


def store_of(spark: SparkSession, address: str) -> Store | str:
    """Return the file system of an address as tasks open it; a text says why they cannot."""
    if not is_remote(address):
        return LOCAL
    if not address.startswith(S3):
        return f"{address} is not on a file system that tasks open"
    context: Any = getattr(spark, "_sc", None)
    if context is None:
        return "a Spark Connect session does not say how it reaches S3"
    conf = context._jsc.hadoopConfiguration()
    for name in _OWN_WAYS:
        value = conf.get(name)
        if not value or value == os.environ.get(_FROM_ENVIRONMENT.get(name, "")):
            continue
        if list(conf.getPropertySources(name) or ()) != [_DEFAULTS]:
            return f"S3 is reached by {name}, which tasks do not know"
    bucket = address.split("://", 1)[1].partition("/")[0]
    if conf.getPropsWithPrefix(f"fs.s3a.bucket.{bucket}.").size():
        return f"bucket {bucket} has settings of its own, which tasks do not know"
    region = conf.get("fs.s3a.endpoint.region") or os.environ.get("AWS_REGION")
    endpoint = str(conf.get("fs.s3a.endpoint") or "")
    if endpoint.endswith("amazonaws.com"):
        endpoint = ""
    with suppress(OSError):
        return Store(region or str(resolve_s3_region(bucket)), endpoint)
    return f"the region of bucket {bucket} could not be found; set AWS_REGION"
