"""Fit one GLM per segment: many small fits at once, each from its parent's coefficients."""
