"""A session that stays: one background process of a user holds Spark, and commands use it.

client -> frames -> server -> work. The two sides must agree in `identity`, and meet in the folder
that `place` checks.
"""
