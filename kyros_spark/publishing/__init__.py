"""Publish registered versions outside the tables: model cards as files, and MLflow."""
