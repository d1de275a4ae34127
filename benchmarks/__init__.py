"""Measure beside peers, in one run, and write the raw numbers down."""
