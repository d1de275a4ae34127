"""Ask the tables in SQL, with one query or at a prompt."""

FORMATS = ("table", "vertical", "csv", "json", "markdown", "parquet")
