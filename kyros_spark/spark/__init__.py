"""The Spark session: Java, jars, settings, and rows persisted while a stage works."""
