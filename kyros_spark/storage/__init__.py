"""Files at any address, through plain file calls or Spark's file systems."""
