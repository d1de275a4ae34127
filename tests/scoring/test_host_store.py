"""One copy of a model on a host, whatever happens to the folder it lies in."""

import json
import multiprocessing
import os
import resource

import numpy as np
import pytest

from kyros_spark.errors import HostStoreError, ModelFormatError
from kyros_spark.model.artefact import model_hash, model_to_bytes, read_model
from kyros_spark.scoring import worker_models
from kyros_spark.scoring.host_store import ModelOnHost, _identity
from kyros_spark.scoring.kernel_tables import (
    TABLES_VERSION,
)
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import boost, model_of


@pytest.fixture(scope="module")
def data():
    return model_to_bytes(model_of(boost(rounds=5)))


@pytest.fixture
def store(tmp_path):
    return ModelOnHost(tmp_path / "models")


def refuse():
    raise AssertionError("the host has the model: its bytes must not be asked for")


def files(store):
    return sorted(path.suffix for path in store.folder.iterdir())


def test_the_second_put_does_not_ask_for_the_bytes(store, data):
    path = store.put(lambda: data, model_hash(data))
    assert path.read_bytes() == data
    assert store.put(refuse, model_hash(data)) == path


def test_files_are_private_and_nothing_temporary_stays(store, data):
    store.put(lambda: data, model_hash(data))
    assert files(store) == ["", ".model", ".ok", f".tables-{TABLES_VERSION}"]
    assert {path.stat().st_mode & 0o077 for path in store.folder.iterdir()} == {0}
    assert store.folder.stat().st_mode & 0o077 == 0


def test_other_bytes_than_promised_are_refused_and_not_kept(store, data):
    with pytest.raises(ModelFormatError, match="expected sha256"):
        store.put(lambda: data + b"\0", model_hash(data))
    assert files(store) == [""]


def damage_truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def damage_flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_remove(path):
    path.unlink()


def damage_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("suffix", ["model", f"tables-{TABLES_VERSION}", "ok"])
@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_remove, damage_empty])
def test_a_damaged_file_is_rebuilt(store, data, suffix, damage, monkeypatch):
    sha256 = model_hash(data)
    store.put(lambda: data, sha256)
    before = store._file(sha256, f"tables-{TABLES_VERSION}").read_bytes()
    damage(store._file(sha256, suffix))
    monkeypatch.setenv("KYROS_MODEL_CACHE", str(store.folder))
    worker_models.forget()
    worker_models.load(sha256, lambda: data)
    worker_models.forget()
    assert store._file(sha256, "model").read_bytes() == data
    assert store._file(sha256, f"tables-{TABLES_VERSION}").read_bytes() == before


def test_a_model_file_without_its_mark_is_verified_not_fetched_again(store, data):
    sha256 = model_hash(data)
    store.put(lambda: data, sha256)
    store._file(sha256, "ok").unlink()
    store.put(refuse, sha256)


def _put_and_count(folder, data, started, calls):
    def fetch():
        with calls.get_lock():
            calls.value += 1
        return data

    started.wait()
    ModelOnHost(folder).put(fetch, model_hash(data))


def test_of_many_processes_one_fetches_the_bytes(tmp_path, data):
    context = multiprocessing.get_context("fork")
    started, calls = context.Event(), context.Value("i", 0)
    arguments = (tmp_path / "models", data, started, calls)
    workers = [context.Process(target=_put_and_count, args=arguments) for _ in range(8)]
    for worker in workers:
        worker.start()
    started.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert calls.value == 1


def _die_holding_the_lock(folder):
    store = ModelOnHost(folder)
    store._make_folder()
    with store._lock():
        (folder / "half.model.tmp").write_bytes(b"half")
        os._exit(9)


def test_a_writer_that_died_leaves_neither_lock_nor_litter(store, data):
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_die_holding_the_lock, args=(store.folder,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 9
    store.put(lambda: data, model_hash(data))
    assert not list(store.folder.glob("*.tmp"))


def loosened(store, path, tmp_path):
    path.chmod(0o777)


def linked(store, path, tmp_path):
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")


def given_away(store, path, tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can give a file to somebody else")
    os.chown(path, 12345, 12345)


def replaced_by_a_file(store, path, tmp_path):
    path.rename(tmp_path / "elsewhere")
    path.write_bytes(b"")
    path.chmod(0o666)


WHAT = ["", "model", f"tables-{TABLES_VERSION}", "ok"]


@pytest.mark.parametrize("suffix", WHAT)
@pytest.mark.parametrize("change", [loosened, linked, given_away, replaced_by_a_file])
def test_what_others_could_have_written_is_refused_at_every_opening(
    store, data, tmp_path, suffix, change
):
    """The folder itself and each of its files, changed after the model was put there."""
    sha256 = model_hash(data)
    store.put(lambda: data, sha256)
    store.map(sha256)
    change(store, store._file(sha256, suffix) if suffix else store.folder, tmp_path)
    for opening in (lambda: store.put(lambda: data, sha256), lambda: store.map(sha256)):
        with pytest.raises(
            HostStoreError, match="not a f|belongs|is of user|by others|File exists"
        ):
            opening()


def test_a_folder_of_others_is_refused_before_anything_is_put_there(store, data, tmp_path):
    for change in (loosened, linked, given_away, replaced_by_a_file):
        store = ModelOnHost(tmp_path / change.__name__ / "models")
        store.folder.mkdir(mode=0o700, parents=True)
        change(store, store.folder, tmp_path / change.__name__)
        with pytest.raises(HostStoreError):
            store.put(lambda: data, model_hash(data))


def other_bytes(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_no_mark_lets_other_bytes_be_scored(tmp_path, data, monkeypatch):
    """One model's files under another's name, with a mark that describes them exactly."""
    monkeypatch.setenv("KYROS_MODEL_CACHE", str(tmp_path / "models"))
    other = model_to_bytes(model_of(boost(rounds=7), name="other"))
    first, second = model_hash(data), model_hash(other)
    store = ModelOnHost()
    for content in (data, other):
        store.put(lambda content=content: content, model_hash(content))
    right = Scorer(read_model(data)).raw([np.ones(3)] * 6)
    for lie in ("its own mark", "a mark of this name"):
        for theirs, ours in zip(store._files(second), store._files(first), strict=True):
            ours.write_bytes(theirs.read_bytes())
        mark = json.loads(store._file(second, "ok").read_text())
        if lie == "a mark of this name":
            mark["sha256"][0] = first
        mark["files"] = [_identity(path) for path in store._files(first)]
        store._file(first, "ok").write_text(json.dumps(mark))
        worker_models.forget()
        model = worker_models.load(first, lambda: data)
        np.testing.assert_array_equal(Scorer(model).raw([np.ones(3)] * 6), right)
    worker_models.forget()


@pytest.mark.parametrize("number", [0, 1])
def test_a_bit_that_changed_on_disk_is_noticed_when_the_model_is_mapped(
    tmp_path, data, monkeypatch, number
):
    """The mark is written again as if the file had always been so."""
    monkeypatch.setenv("KYROS_MODEL_CACHE", str(tmp_path / "models"))
    store, sha256 = ModelOnHost(), model_hash(data)
    store.put(lambda: data, sha256)
    other_bytes(store._files(sha256)[number])
    mark = json.loads(store._file(sha256, "ok").read_text())
    mark["files"] = [_identity(path) for path in store._files(sha256)]
    store._file(sha256, "ok").write_text(json.dumps(mark))
    worker_models.forget()
    model = worker_models.load(sha256, lambda: data)
    rows = [np.ones(3)] * 6
    np.testing.assert_array_equal(Scorer(model).raw(rows), Scorer(read_model(data)).raw(rows))
    worker_models.forget()


def test_a_full_disk_is_reported_and_leaves_nothing(store, data):
    """A file size limit stands for the full disk: the write fails in the same place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, hard))
    try:
        with pytest.raises(HostStoreError, match=r"cannot be kept|no room"):
            store.put(lambda: data, model_hash(data))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(store) == [""]


def test_the_model_unused_for_longest_is_evicted(tmp_path, data):
    others = [model_to_bytes(model_of(boost(rounds=5), name=name)) for name in ("a", "b")]
    size = ModelOnHost(tmp_path).put(lambda: data, model_hash(data)).stat().st_size
    both = sum(path.stat().st_size for path in tmp_path.iterdir())
    store = ModelOnHost(tmp_path, limit_bytes=2 * both + size)
    store.put(lambda: others[0], model_hash(others[0]))
    os.utime(store._file(model_hash(data), "ok"), (1, 1))
    store.put(lambda: others[1], model_hash(others[1]))
    kept = {path.name[:64] for path in tmp_path.glob("*.model")}
    assert kept == {model_hash(other) for other in others}


def test_a_worker_maps_a_model_once(tmp_path, data, monkeypatch):
    monkeypatch.setenv("KYROS_MODEL_CACHE", str(tmp_path / "models"))
    worker_models.forget()
    before = worker_models.COUNTS.mapped
    first = worker_models.load(model_hash(data), lambda: data)
    assert worker_models.load(model_hash(data), refuse) is first
    assert worker_models.COUNTS.mapped == before + 1
    assert not first.arrays["leaf_value"].flags.writeable
    worker_models.forget()


def test_a_model_evicted_between_put_and_map_is_put_again(tmp_path, data, monkeypatch):
    monkeypatch.setenv("KYROS_MODEL_CACHE", str(tmp_path / "models"))
    worker_models.forget()
    real = ModelOnHost.map
    seen = []

    def evicted_once(self, sha256):
        if not seen:
            seen.append(sha256)
            for path in self.folder.glob(f"{sha256}.*"):
                path.unlink()
        return real(self, sha256)

    monkeypatch.setattr(ModelOnHost, "map", evicted_once)
    worker_models.load(model_hash(data), lambda: data)
    worker_models.forget()


def test_where_files_cannot_be_mapped_they_are_read_and_the_log_says_so(
    store, data, monkeypatch, caplog
):
    def refuse(*_, **__):
        raise OSError(19, "No such device")

    sha256 = model_hash(data)
    store.put(lambda: data, sha256)
    monkeypatch.setattr("kyros_spark.scoring.host_store.mmap.mmap", refuse)
    model = store.map(sha256)
    rows = [np.zeros(3) for _ in model.manifest.features]
    expected = Scorer(read_model(data)).raw(rows)
    np.testing.assert_array_equal(Scorer(model).raw(rows), expected)
    assert "cannot be mapped" in caplog.text
