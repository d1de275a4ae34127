"""Fit models on prepared rows: the only rooms that call MLlib and xgboost."""
