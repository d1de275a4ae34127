"""Check what an MLlib folder states twice: counts in its texts and its tables must be the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.importers.mllib_tables import table_in
from kyros_spark.model.json_text import read_json

COUNTS = ("numFeatures", "numClasses")


def check_ensemble(folder: Path, metadata: Mapping[str, Any], trees: int) -> None:
    """Check what the metadata of a forest or of boosted trees say of its trees.

    trees  how many there are in data/

    Raises ModelFormatError, which names both statements.
    """
    _agree("numTrees", metadata.get("numTrees"), trees)
    if "GBT" not in str(metadata["class"]):  # Spark divides a forest's sum by this parameter
        parameters = {**metadata.get("defaultParamMap", {}), **metadata.get("paramMap", {})}
        _agree("parameter numTrees", parameters.get("numTrees"), trees)
    if not (folder / "treesMetadata").is_dir():
        return
    table = table_in(folder / "treesMetadata")  # Spark 4.1 calls the columns _1, _2, _3
    if not np.array_equal(np.sort(table.column(0).to_numpy()), np.arange(trees)):
        raise ModelFormatError(
            f"MLlib model: treesMetadata of other trees than the {trees} in data"
        )
    for text in table.column(1).to_pylist():
        described = read_json(text, "MLlib model: treesMetadata")
        for name in COUNTS:
            if name in described and name in metadata:
                _agree(f"a tree's {name}", described[name], metadata[name])


def _agree(name: str, stated: object, actual: object) -> None:
    if stated is not None and stated != actual:
        raise ModelFormatError(
            f"MLlib model: {name}: expected {str(actual)[:50]}, found {str(stated)[:50]}"
        )
