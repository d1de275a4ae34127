"""predict: apply registered models to a batch."""
