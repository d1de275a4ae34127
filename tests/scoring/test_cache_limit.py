"""The bytes of models that a host may hold are a number, or are refused by name."""

import pytest

from kyros_spark.errors import HostStoreError
from kyros_spark.scoring.host_settings import DEFAULT_LIMIT_BYTES
from kyros_spark.scoring.host_store import ModelOnHost


@pytest.mark.parametrize("limit", ["8G", "", "-1", "0", "1e9", "8 GiB", "9" * 5000, "\u0663"])
def test_a_limit_that_is_no_number_is_refused_by_name(limit, tmp_path, monkeypatch):
    monkeypatch.setenv("KYROS_MODEL_CACHE_BYTES", limit)
    with pytest.raises(HostStoreError, match="KYROS_MODEL_CACHE_BYTES: expected bytes"):
        ModelOnHost(tmp_path)


def test_a_number_is_taken_and_none_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("KYROS_MODEL_CACHE_BYTES", "1000")
    assert ModelOnHost(tmp_path).limit_bytes == 1000
    monkeypatch.delenv("KYROS_MODEL_CACHE_BYTES")
    assert ModelOnHost(tmp_path).limit_bytes == DEFAULT_LIMIT_BYTES
