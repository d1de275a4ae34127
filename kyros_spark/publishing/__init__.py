"""Publish registered versions outside the tables: as model card files, and to MLflow."""
