"""Judge stored predictions: Spark computes sums, and the driver turns them into metrics."""
