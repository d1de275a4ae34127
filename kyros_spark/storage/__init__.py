"""Whole files at any address, by plain file calls or through Spark's file systems."""
