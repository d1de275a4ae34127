"""Fit models on prepared rows; no other package calls MLlib's fits or xgboost's."""
