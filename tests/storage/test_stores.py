"""Tasks open what Spark reads: local disks, and S3 where Hadoop reaches it as they do."""

import pytest

from kyros_spark.storage.stores import LOCAL, Store, store_of


@pytest.fixture
def hadoop(spark, monkeypatch):
    """Set Hadoop's settings for a test."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    conf = spark._jsc.hadoopConfiguration()
    names = []

    def told(**settings):
        for name, value in settings.items():
            names.append("fs." + name.replace("__", "."))
            conf.set(names[-1], value)

    yield told
    for name in names:
        conf.unset(name)


def test_local_paths_are_this_machines(spark, tmp_path):
    store = store_of(spark, f"file:{tmp_path}/tables")
    assert store is LOCAL
    assert store.path(f"file:{tmp_path}/tables") == f"{tmp_path}/tables"


def test_s3_is_opened_by_region_and_endpoint(spark, hadoop):
    assert store_of(spark, "s3a://book/tables") == Store("eu-west-1")
    hadoop(s3a__endpoint="s3.eu-central-1.amazonaws.com", s3a__endpoint__region="eu-central-1")
    store = store_of(spark, "s3://book/tables")
    assert store == Store("eu-central-1")
    assert store.path("s3://book/tables/prepared") == "book/tables/prepared"
    hadoop(s3a__endpoint="http://127.0.0.1:9000")
    assert store_of(spark, "s3a://book/tables").endpoint == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("s3a__access__key", "another"), ("s3a__assumed__role__arn", "arn:aws:iam::1:role/r"),
        ("s3a__encryption__algorithm", "SSE-KMS"), ("s3__enableServerSideEncryption", "true"),
        ("s3a__bucket__book__access__key", "another"),
    ],
)  # fmt: skip
def test_s3_that_hadoop_reaches_in_its_own_way_is_left_to_spark(spark, hadoop, setting, value):
    hadoop(**{setting: value})
    reason = store_of(spark, "s3a://book/tables")
    assert isinstance(reason, str) and "tasks do not know" in reason
    assert value not in reason


def test_keys_of_the_environment_are_the_tasks_too(spark, hadoop, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known")
    hadoop(s3a__access__key="known")
    assert store_of(spark, "s3a://book/tables") == Store("eu-west-1")


@pytest.mark.parametrize(
    "address", ["abfss://c@a.dfs.core.windows.net/t", "gs://book/t", "hdfs:///t"]
)
def test_other_stores_are_left_to_spark(spark, address):
    assert isinstance(store_of(spark, address), str)
