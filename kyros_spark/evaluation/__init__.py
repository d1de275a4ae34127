"""Judge stored predictions: frames of sums in Spark, numbers from those sums on the driver."""
