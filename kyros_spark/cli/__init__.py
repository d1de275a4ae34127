"""The command line: one parser, one function a command, and the SQL prompt."""
