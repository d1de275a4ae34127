"""The Spark session: Java, jars, settings, and rows that are kept while a stage works."""
