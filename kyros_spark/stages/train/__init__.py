"""train: fit models on prepared batches and register them."""
