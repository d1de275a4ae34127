"""One writer at a time: the lease against a store in memory, whose conditional write is exact."""

import threading

import pytest
from delta_store import Memory

from kyros_spark.delta.lease import Lease
from kyros_spark.errors import ConcurrentRunError


@pytest.fixture
def store():
    return Memory()


@pytest.fixture
def driver(store):
    """A driver's lease; every one that was made is stopped at the end."""
    made = []

    def new():
        made.append(Lease(store, "s3a://book/tables", renew_every=0.05, patience=0.4))
        return made[-1]

    yield new
    for lease in made:
        lease._stop_renewing()


def die(lease):
    """What SIGKILL does: the lease stays, and is changed no more."""
    lease._stop_renewing()


def test_a_second_driver_is_refused_while_the_first_lives_and_told_by_whom(driver):
    driver().hold("run-of-a")
    with pytest.raises(ConcurrentRunError, match="found run run-of-a on .* one driver at a time"):
        driver().hold("run-of-b")


def test_a_released_lease_is_taken_without_waiting(driver, store):
    first, second = driver(), driver()
    first.hold("a")
    first.release()
    second._patience = 3600
    second.hold("b")
    assert len(store.files) == 1
    with pytest.raises(ConcurrentRunError):
        first.hold("a again")


def test_a_dead_drivers_lease_is_taken_over_and_it_writes_no_more_if_it_wakes(driver):
    first, second = driver(), driver()
    first.hold("a")
    die(first)
    second.hold("b")
    second.hold("b")
    with pytest.raises(ConcurrentRunError, match="another driver took it over"):
        first.hold("a")


def test_of_many_that_take_over_at_once_one_gets_it(driver, store):
    first = driver()
    first.hold("a")
    die(first)
    got, refused, gate = [], [], threading.Barrier(8)

    def take(name):
        gate.wait()
        lease = driver()
        try:
            lease.hold(name)
            got.append(lease)
        except ConcurrentRunError:
            refused.append(name)

    threads = [threading.Thread(target=take, args=(f"r{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and len(refused) == 7
    got[0].hold("still")


def test_a_store_that_does_not_answer_for_a_while_costs_nothing(driver, store):
    lease = driver()
    lease.hold("a")
    store.broken = True
    threading.Event().wait(0.15)
    store.broken = False
    lease.hold("a")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run_id": 1}'])
def test_a_damaged_lease_is_waited_for_like_a_dead_drivers(driver, store, content):
    store.files["00000000000000000007.json"] = content
    driver().hold("a")
    assert list(store.files) == ["00000000000000000008.json"]


def test_files_that_are_no_leases_are_left_alone(driver, store):
    store.files["notes.txt"] = b"hello"
    driver().hold("a")
    assert store.files["notes.txt"] == b"hello"


STRAY = ("notes.json", "0.json", ".DS_Store", "00000000000000000001.json.crc", "x" * 24 + ".json")


@pytest.mark.parametrize("name", STRAY)
def test_a_file_that_is_no_lease_neither_stops_nor_is_touched(name, store, driver):
    store.files[name] = b"{}"
    first, second = driver(), driver()
    first.hold("r1")
    first.hold("r1")
    first.release()
    second.hold("r2")
    assert store.files[name] == b"{}"
