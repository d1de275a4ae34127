"""evaluate: judge the stored predictions of a batch."""
