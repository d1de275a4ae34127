"""Draw the evaluation tables as charts and render one HTML page from their rows, without Spark."""
