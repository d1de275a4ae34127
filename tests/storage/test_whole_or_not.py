"""A file is replaced in one step, under a name of its own, and no address is a pattern."""

import contextlib
import os
from datetime import timedelta

import pytest

from kyros_spark.errors import PlatformError
from kyros_spark.kernels.private_files import partial_beside
from kyros_spark.storage import files
from kyros_spark.storage.files import folders_older_than, write_file


def test_two_containers_with_one_process_id_write_to_different_names(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    names = {partial_beside(tmp_path / "model") for _ in range(100)}
    assert len(names) == 100 and {name.parent for name in names} == {tmp_path}


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "model.kyros"
    write_file(None, str(target), b"old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(PlatformError, match="No space left"):
        write_file(None, str(target), b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


class Store:
    """A store in memory that records what is done, and stops after so many steps."""

    def __init__(self, most):
        self.content, self.left = {"s3a://b/model": b"old"}, most

    def step(self):
        if self.left == 0:
            raise RuntimeError("the process was killed here")
        self.left -= 1

    def create(self, path, overwrite):
        self.step()
        return Stream(self, str(path))

    def delete(self, path, recursive):
        self.step()
        self.content.pop(str(path), None)

    def rename(self, source, target):
        self.step()
        self.content[str(target)] = self.content.pop(str(source))
        return True


class Stream:
    def __init__(self, store, name):
        self.store, self.name, self.data = store, name, b""

    def write(self, data):
        self.store.step()
        self.data += bytes(data)

    def close(self):  # an object appears whole, in place of the one before it
        self.store.step()
        self.store.content[self.name] = self.data


class Address(str):
    def suffix(self, text):
        return Address(self + text)


@pytest.mark.parametrize("scheme", ["s3a", "hdfs"])
def test_killed_at_any_step_a_replaced_file_is_there_old_or_new(monkeypatch, scheme):
    address, seen = f"{scheme}://b/model", set()
    for most in range(8):
        store = Store(most)
        store.content = {address: b"old"}
        monkeypatch.setattr(files, "hadoop", lambda spark, a, store=store: (Address(a), store))
        monkeypatch.setattr(
            files, "_rename_over", lambda spark, a, b, store=store: store.rename(a, b)
        )
        with contextlib.suppress(PlatformError, RuntimeError):
            write_file(None, address, b"new")
        assert store.content[address] in (b"old", b"new")
        seen.add(store.content[address])
    assert seen == {b"old", b"new"}


ODD = ["plain", "[1]", "a*b", "what?", "{x,y}", "a b", "[!a]", "back\\slash"]


@pytest.mark.parametrize("name", ODD)
def test_an_address_is_no_pattern(tmp_path, name):
    for other in (*ODD, "1", "axb", "whatx"):
        (tmp_path / other / "staged-1" / "_delta_log").mkdir(parents=True, exist_ok=True)
        (tmp_path / other / "stage" / "_delta_log").mkdir(parents=True, exist_ok=True)
    found = folders_older_than(None, str(tmp_path / name), "staged-", "_delta_log", -timedelta(1))
    assert found == [str(tmp_path / name / "staged-1" / "_delta_log")]
    assert (
        folders_older_than(None, str(tmp_path / name), "staged-", "_delta_log", timedelta(1)) == []
    )
