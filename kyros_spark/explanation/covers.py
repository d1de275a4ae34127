"""Temporary, until the engine's module takes this place."""


def measured_covers(model, batches, weights=None):
    """Return the model."""
    return model
