"""prepare: exposure, targets, split and features of a batch."""
