"""The command line: one parser, one function per command, and the SQL prompt."""
