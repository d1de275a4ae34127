"""Import a model of any supported format: recognise the file by its content, and build our model.

None of the formats is a pickle: nothing in a model file is ever run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import ValidationError

from kyros_spark.errors import (
    KyrosError,
    ModelFormatError,
    ModelNotSupportedError,
    UsageError,
)
from kyros_spark.model.artefact import Model
from kyros_spark.model.check import check_arrays
from kyros_spark.model.importers.formats import Format, content_of, format_of
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.lightgbm import import_lightgbm
from kyros_spark.model.importers.mllib import import_mllib
from kyros_spark.model.importers.onnx import import_onnx
from kyros_spark.model.importers.xgboost import trees_from_xgboost
from kyros_spark.model.manifest import Family, Feature, Link, Manifest

Built = TypeVar("Built")
MAX_MESSAGE = 1000


@contextmanager
def _short_messages() -> Iterator[None]:
    """Shorten what an error says of a file: names in it may be millions of characters long."""
    try:
        yield
    except KyrosError as error:
        message = str(error)
        if len(message) <= MAX_MESSAGE:
            raise
        raise type(error)(f"{message[:MAX_MESSAGE]} ...") from None


@_short_messages()
def import_model(
    source: bytes | str | Path,
    name: str,
    target: str,
    per: str | None = None,
    format: Format | None = None,
    features: Sequence[str] | None = None,
    iterations: int | None = None,
    family: Family | None = None,
    link: Link | None = None,
    intercept: float | None = None,
    categories: Sequence[str] | None = None,
) -> Model:
    """Return another library's model as ours, ready to be scored or written.

    source      the file's bytes, or the path of the file (for Spark MLlib, of the folder)
    format      None recognises the format by the file's content
    features    the inputs' names in the model's order, for a file that does not hold them
    iterations  the number of boosting rounds to take, from the first on (XGBoost, LightGBM)
    family, link  replace the file's, which may lack them: ONNX has no family, and skl2onnx leaves
                out the inverse link of scikit-learn's HistGradientBoosting
    intercept   replaces the file's: 0 for an XGBoost model fitted with a base margin (an offset)
    categories  the features that pandas held as a category, for a LightGBM file that does not show
                which they are

    Raises ModelFormatError for a damaged or unknown file, ModelNotSupportedError for a sound model
    that the engine does not run, UsageError when the features' names are missing or contradict the
    file.
    """
    model_format = format or format_of(source)
    if model_format not in get_args(Format):
        raise UsageError(
            f"format: expected one of {', '.join(get_args(Format))}, found {model_format!r}"
        )
    if iterations is not None and model_format not in ("xgboost", "lightgbm"):
        raise UsageError(
            f"iterations: not for {model_format} models, which hold no boosting rounds"
        )
    if categories is not None and model_format != "lightgbm":
        raise UsageError(f"categories: not for {model_format} models, only for LightGBM's")
    imported = _read(source, model_format, iterations, categories, link is not None)
    if imported.outputs and intercept is not None:
        raise UsageError("intercept: not for a model of several outputs, which has one for each")
    model_features = _checked(imported, lambda: _features(imported, _names(imported, features)))
    manifest = _checked(
        imported,
        lambda: _manifest(imported, model_features, name, target, per, family, link, intercept),
    )
    check_arrays(manifest, imported.arrays)
    return Model(manifest, imported.arrays)


def _manifest(
    imported: Imported,
    features: tuple[Feature, ...],
    name: str,
    target: str,
    per: str | None,
    family: Family | None,
    link: Link | None,
    intercept: float | None,
) -> Manifest:
    fields = {
        "name": name,
        "kind": imported.kind,
        "source": {"library": imported.library, "version": imported.version},
        "family": family or imported.family,
        "link": link or imported.link,
        "target": target,
        "per": per,
        "objective": imported.objective,
        "intercept": imported.intercept if intercept is None else intercept,
        "divisor": imported.divisor,
        "sigmoid": imported.sigmoid,
        "outputs": imported.outputs,
        "rebalance": imported.rebalance,
        "large_loss_load": imported.large_loss_load,
        "category_rule": imported.category_rule,
        "features": features,
        "training": _rounds(imported),
    }
    return Manifest.model_validate(fields)


def _rounds(imported: Imported) -> dict[str, int]:
    if imported.rounds is None:
        return {}
    kept, in_file = imported.rounds
    return {"rounds_kept": kept, "rounds_in_file": in_file}


def _checked(imported: Imported, build: Callable[[], Built]) -> Built:
    """Return the result of `build`; name the library when the manifest rejects its values.

    Raises ModelFormatError in place of pydantic's error.
    """
    try:
        return build()
    except (ValidationError, TypeError) as error:
        message = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            message = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise ModelFormatError(f"{imported.library} model: {message}") from None


def _read(
    source: bytes | str | Path,
    format: Format,
    iterations: int | None,
    categories: Sequence[str] | None,
    is_link_given: bool,
) -> Imported:
    if format == "mllib":
        if isinstance(source, bytes):
            raise UsageError("format mllib: expected the path of the saved model's folder")
        return import_mllib(Path(source))
    data = content_of(source)
    readers: dict[str, Callable[[], Imported]] = {
        "xgboost": lambda: _xgboost(data, iterations),
        "lightgbm": lambda: import_lightgbm(_text(data), iterations, categories),
        "onnx": lambda: import_onnx(data, is_link_given),
    }
    return readers[format]()


def _text(data: bytes) -> str:
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"model file: expected UTF-8 text, found {error.reason}") from error


def _xgboost(data: bytes, iterations: int | None) -> Imported:
    booster = trees_from_xgboost(data, iterations)
    return Imported(
        kind="trees",
        library="xgboost",
        version=booster.version,
        objective=booster.objective,
        family=booster.family,
        link=booster.link,
        intercept=booster.intercept,
        feature_names=booster.feature_names,
        n_features=booster.trees.n_features,
        arrays=booster.arrays(),
        outputs=booster.outputs,
        levels=booster.levels,
        category_rule="floor",
        rounds=booster.rounds,
    )


def _features(imported: Imported, names: Sequence[str]) -> tuple[Feature, ...]:
    """Return the features: levels where the file holds the categories' names, else numbers."""
    if imported.features:
        return imported.features
    features: list[Feature] = []
    for number, name in enumerate(names):
        levels = imported.levels.get(number, ())
        if levels:
            features.append(Feature(name=name, kind="levels", levels=levels, unseen="missing"))
        else:
            features.append(Feature(name=name))
    return tuple(features)


def _names(imported: Imported, given_names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the features' names: the file's own, or the given ones when it has none."""
    file_names, count = imported.feature_names, imported.n_features
    if file_names == tuple(f"Column_{k}" for k in range(count)):  # LightGBM for "no names"
        file_names = ()
    if file_names and given_names is not None and tuple(given_names) != file_names:
        raise UsageError(
            f"features: the file names them {', '.join(file_names)}; leave `features` out"
        )
    names = file_names or tuple(given_names or ())
    if len(names) != count:
        actual = f"{len(names)} names" if names else "no names in the file"
        raise UsageError(
            f"{imported.library} model: expected names for its {count} features, found {actual}; "
            "give them as `features`, in the model's order"
        )
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        listed = repeated[:20]
        raise ModelNotSupportedError(f"{imported.library} model: features twice: {listed}")
    return names
