"""Import a Spark MLlib model from the folder that its `save` wrote; no Spark is needed to read it.

The folder holds JSON (metadata/) and Parquet (data/, and treesMetadata/ for ensembles). It is the
same from Spark 3.0 to 4.1, except for a few column names that this reader does not rely on. All
numbers are float64. `value <= threshold` goes left; a NaN is not at most anything and goes right.
Raw scores equal MLlib's bit for bit for regression trees and forests. Boosting is weighted here per
leaf instead of per tree, and a forest's probabilities are divided by the number of trees instead of
by their sum; both agree with MLlib to the rounding of the sums.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.document_numbers import whole_number
from kyros_spark.model.importers.imported import Imported, slopes_only
from kyros_spark.model.importers.mllib_facts import check_ensemble
from kyros_spark.model.importers.mllib_tables import read_rows
from kyros_spark.model.importers.mllib_trees import tree_arrays
from kyros_spark.model.json_text import read_json
from kyros_spark.model.manifest import Family, Link, ModelOutput
from kyros_spark.model.trees import MAX_FEATURES

TREES: dict[str, tuple[Family, Link]] = {
    "DecisionTreeRegressionModel": ("gaussian", "identity"),
    "RandomForestRegressionModel": ("gaussian", "identity"),
    "GBTRegressionModel": ("gaussian", "identity"),
    "DecisionTreeClassificationModel": ("binomial", "identity"),
    "RandomForestClassificationModel": ("binomial", "identity"),
    "GBTClassificationModel": ("binomial", "logit"),
}
MAX_CLASSES = 10_000
LINKS: dict[str, Link] = {"log": "log", "identity": "identity", "logit": "logit"}
USUAL_LINKS = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}
FAMILIES: dict[str, Family] = {
    "gaussian": "gaussian", "binomial": "binomial", "poisson": "poisson", "gamma": "gamma",
    "tweedie": "tweedie",
}  # fmt: skip


def import_mllib(folder: Path) -> Imported:
    """Import a tree, forest, boosted trees or (generalised) linear model, alone or in a pipeline.

    In a PipelineModel, one VectorAssembler may precede the model; it names the features. A GLM's
    offset column is not part of the model: scores are those for an offset of 0.

    Raises ModelFormatError for a damaged folder, ModelNotSupportedError naming the model, stage,
    link or split that the engine does not do.
    """
    try:
        return _import(folder)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        detail = f"{type(error).__name__} {str(error)[:200]}"
        raise ModelFormatError(f"MLlib model: {detail}") from error


def _import(folder: Path) -> Imported:
    metadata = _metadata(folder)
    names: tuple[str, ...] = ()
    if _class(metadata) == "PipelineModel":
        folder, metadata, names = _pipeline(folder)
    kind = _class(metadata)
    if kind in TREES:
        return _trees(folder, kind, metadata, names)
    if kind in ("GeneralizedLinearRegressionModel", "LinearRegressionModel"):
        return _linear(folder, kind, metadata, names)
    raise ModelNotSupportedError(f"MLlib model: {kind} is not supported")


def _pipeline(folder: Path) -> tuple[Path, dict[str, Any], tuple[str, ...]]:
    """Return the folder and metadata of a pipeline's model, and its features' names.

    Raises ModelNotSupportedError naming the first stage that is neither the one assembler of the
    model's features nor the model, which has to be the last.
    """
    stages = sorted((folder / "stages").iterdir(), key=lambda path: int(path.name.split("_")[0]))
    if not stages:
        raise ModelNotSupportedError("MLlib model: a pipeline without a model")
    *before, (model, metadata) = [(stage, _metadata(stage)) for stage in stages]
    names: tuple[str, ...] = ()
    for position, (stage, described) in enumerate(before):
        kind = _class(described)
        if kind != "VectorAssembler" or names:
            model_kind = _class(metadata)
            raise ModelNotSupportedError(
                f"MLlib model: pipeline stage {position}, {kind} ({stage.name}), is not supported: "
                f"expected one VectorAssembler and then a model, here {model_kind}; make its "
                "columns with prepare.features, and save a pipeline of these two stages"
            )
        names = tuple(described["paramMap"]["inputCols"])
        _check_assembled(described, metadata)
    return model, metadata, names


def _check_assembled(assembler: dict[str, Any], model: dict[str, Any]) -> None:
    """Refuse an assembler of another column than the one the model reads."""
    made, read = (
        {**stage.get("defaultParamMap", {}), **stage["paramMap"]}.get(parameter)
        for stage, parameter in ((assembler, "outputCol"), (model, "featuresCol"))
    )
    if made is not None and read is not None and made != read:
        raise ModelNotSupportedError(
            f"MLlib model: the pipeline assembles column {made}, and {_class(model)} reads {read}"
        )


def _metadata(folder: Path) -> dict[str, Any]:
    parts = sorted((folder / "metadata").glob("part-*"))
    lines = [line for part in parts for line in part.read_text().splitlines() if line.strip()]
    if len(lines) != 1:
        raise ModelFormatError(f"MLlib model: {folder.name}/metadata: {len(lines)} lines, not one")
    metadata = read_json(lines[0], f"MLlib model: {folder.name}/metadata")
    if not isinstance(metadata, dict):
        raise ModelFormatError(f"MLlib model: {folder.name}/metadata: not an object")
    return metadata


def _class(metadata: dict[str, Any]) -> str:
    return str(metadata["class"]).rpartition(".")[2]


def _trees(folder: Path, kind: str, metadata: dict[str, Any], names: tuple[str, ...]) -> Imported:
    stated = metadata.get("numClasses", 2) if "Classification" in kind else 2
    classes, n_features = (
        whole_number(n, "MLlib model: a count") for n in (stated, metadata["numFeatures"])
    )
    boosted = kind.startswith("GBT")
    if not 2 <= classes <= (2 if boosted else MAX_CLASSES):
        raise ModelNotSupportedError(f"MLlib model: {kind} of {classes} classes")
    arrays, trees = tree_arrays(folder, kind, n_features, classes)
    if not kind.startswith("DecisionTree"):
        check_ensemble(folder, metadata, trees)
    family, link = TREES[kind]
    imported = _imported("trees", kind, metadata, family, link, 0.0, names, n_features, arrays)
    outputs = tuple(ModelOutput(label=str(k)) for k in range(classes) if classes > 2)
    return replace(
        imported,
        family="multinomial" if outputs else family,
        divisor=float(trees) if kind.startswith("RandomForest") else 1.0,
        outputs=outputs,
    )


def _linear(folder: Path, kind: str, metadata: dict[str, Any], names: tuple[str, ...]) -> Imported:
    family, link = _glm_link(metadata) if kind.startswith("General") else ("gaussian", "identity")
    if family not in FAMILIES or link not in LINKS:
        raise ModelNotSupportedError(f"MLlib model: family {family} with link {link}")
    (row,) = read_rows(folder / "data")
    vector = row["coefficients"]
    slopes = list(vector["values"])
    stated = metadata.get("numFeatures")
    if vector["type"] not in (0, 1) or stated not in (None, vector["size"] or len(slopes)):
        raise ModelFormatError(f"MLlib model: coefficients against {stated} features")
    if vector["type"] == 0:  # sparse
        if not 0 <= vector["size"] <= MAX_FEATURES:
            raise ModelNotSupportedError(f"MLlib model: {vector['size']} features")
        slopes = [0.0] * int(vector["size"])
        places = vector["indices"]
        if len({*places}) != len(places) or min(places, default=0) < 0:
            raise ModelFormatError("MLlib model: a coefficient's place is negative or given twice")
        for index, value in zip(vector["indices"], vector["values"], strict=True):
            slopes[index] = value
    return _imported(
        "glm", kind, metadata, FAMILIES[family], LINKS[link], float(row["intercept"]), names,
        len(slopes), slopes_only(slopes),
    )  # fmt: skip


def _glm_link(metadata: dict[str, Any]) -> tuple[str, str]:
    """Return family and link; tweedie has a link power instead: 0 is log and 1 is identity."""
    parameters = {**metadata["defaultParamMap"], **metadata["paramMap"]}
    family = str(parameters["family"]).lower()
    if family == "tweedie":
        power = float(parameters.get("linkPower", 1.0 - float(parameters["variancePower"])))
        return family, {0.0: "log", 1.0: "identity"}.get(power, f"power {power:g}")
    return family, str(parameters.get("link", USUAL_LINKS.get(family, "unknown"))).lower()


def _imported(
    model_kind: Any, kind: str, metadata: dict[str, Any], family: Family, link: Link,
    intercept: float, names: tuple[str, ...], n_features: int, arrays: dict[str, Any],
) -> Imported:  # fmt: skip
    if names and len(names) != n_features:
        mismatch = f"{n_features} features assembled from {len(names)} columns"
        raise ModelNotSupportedError(f"MLlib model: {mismatch}; a column that is a vector")
    return Imported(
        kind=model_kind,
        library="spark-mllib",
        version=str(metadata["sparkVersion"]),
        objective=kind,
        family=family,
        link=link,
        intercept=intercept,
        feature_names=names,
        n_features=n_features,
        arrays=arrays,
    )
