"""monitor: compare a batch with its baseline and with the batch before, and judge by rules."""
