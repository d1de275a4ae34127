"""List the Spark settings that this package adds to a session."""

# What Delta needs in any session.
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# For a session on one machine. Small commits make up most of a local run: Delta's default of 50
# snapshot partitions and Spark's 200 shuffle partitions make each commit several times slower.
LOCAL = {
    # Four attempts, as on clusters: a task whose Python worker died is retried.
    "spark.master": "local[*,4]",
    "spark.ui.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.shuffle.partitions": "8",
    # Otherwise each commit to a small table repeats its list of files in its checksum, reading the
    # table's state by a query for a new table, and by two for any where the JVM's time zone is not
    # UTC: a batch of 120 policies took 18 CPU seconds in Berlin and 9 with this.
    "spark.databricks.delta.allFilesInCrc.enabled": "false",
    # Stages and batches generate the same code again, more than the 100 pieces that Spark caches.
    "spark.sql.codegen.cache.maxEntries": "2000",
    # The JVM never compiles a method above 8,000 bytes. With this limit Spark splits clean's rules
    # into several methods; in one larger method they took five times as long.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # A batch is one partition, so Spark need not sort rows by it, which took a tenth of prepare.
    "spark.sql.maxConcurrentOutputFileWriters": "2",
    # Claims are few compared with policies: if a partition of them is this small, the join hashes
    # it instead of sorting both sides. Spark ignores the second setting if it is below the first.
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "32m",
    "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold": "32m",
    # Meant for object stores: vectored reads copy ranges outside the heap, 300 MiB in prepare.
    "spark.hadoop.parquet.hadoop.vectored.io.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.databricks.delta.properties.defaults.checkpointInterval": "20",
    # The byte limit makes Spark 4 measure the batch at every row; row counts bound memory instead.
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647b",
}
