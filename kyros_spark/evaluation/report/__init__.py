"""Draw the evaluation tables and word them as one HTML page: no Spark here, only their rows."""
