"""Build the kernels' tables of a model, as the bytes a host keeps beside the model file."""

from safetensors.numpy import save

from kyros_spark.model.artefact import Model
from kyros_spark.scoring.columns import Arrays
from kyros_spark.scoring.tree_tables import build_tree_tables

TABLES_VERSION = 3  # raise it with every change of layout: hosts then build anew


def build_tables(model: Model) -> Arrays:
    """Return the kernels' tables; a linear model needs none beyond its own arrays."""
    return build_tree_tables(model.arrays) if model.manifest.kind == "trees" else {}


def tables_to_bytes(model: Model) -> bytes:
    """Return the kernels' tables as one safetensors file."""
    return save(build_tables(model))
