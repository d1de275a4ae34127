"""Import a model of any known format: recognise the file by its content, build a model of ours.

No format here is a pickle: nothing in a model file is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import ValidationError

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError, UsageError
from kyros_spark.model.artefact import Model
from kyros_spark.model.check import check_arrays
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.lightgbm import import_lightgbm
from kyros_spark.model.importers.mllib import import_mllib
from kyros_spark.model.importers.onnx import import_onnx
from kyros_spark.model.importers.xgboost import trees_from_xgboost
from kyros_spark.model.manifest import Family, Feature, Link, Manifest

Format = Literal["xgboost", "lightgbm", "onnx", "mllib"]
Made = TypeVar("Made")

OTHER_FORMATS = {
    b"\x80": "a Python pickle, which runs code when read; save the model in its library's own "
    "format, or scikit-learn's as ONNX",
    b"binf": "XGBoost's old binary form; save it again as .json or .ubj",
    b'{"name":"tree"': "LightGBM's JSON dump; save the model with save_model",
    b"PK\x03\x04": "a zip archive; unpack it and name the model inside",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"\x89HDF": "an HDF5 file",
}


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
) -> Model:
    """Return a model of another library, ready to be scored or written.

    source      the file's bytes, or the path of the file (of the folder, for Spark MLlib)
    format      None recognises it by its content
    features    the inputs' names in the model's order, for a file that does not hold them
    iterations  keeps the first so many boosting rounds (XGBoost, LightGBM)
    family, link  instead of the file's, which may not hold them: ONNX has no family, and skl2onnx
                leaves out the inverse link of scikit-learn's HistGradientBoosting
    intercept   instead of the file's: 0 for an XGBoost model fitted with a base margin (an offset)
    Raises ModelFormatError for a damaged or unknown file, ModelNotSupportedError for a sound model
    that the engine does not run, UsageError when the features' names are missing or contradict the
    file.
    """
    found = format or recognised(source)
    if found not in get_args(Format):
        raise UsageError(f"format: expected one of {', '.join(get_args(Format))}, found {found!r}")
    if iterations is not None and found not in ("xgboost", "lightgbm"):
        raise UsageError(f"iterations: not for {found} models, which hold no boosting rounds")
    imported = _read(source, found, iterations)
    if imported.outputs and intercept is not None:
        raise UsageError("intercept: not for a model of several outputs, which has one for each")
    inputs = _checked(imported, lambda: _features(imported, _names(imported, features)))
    manifest = _checked(
        imported,
        lambda: _manifest(imported, inputs, name, target, per, family, link, intercept),
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
    facts = {
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
    }
    return Manifest.model_validate(facts)


def _checked(imported: Imported, made: Callable[[], Made]) -> Made:
    """Return what is made of a file; name the file where the manifest takes nothing like it."""
    try:
        return made()
    except (ValidationError, TypeError) as error:
        told = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            told = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise ModelFormatError(f"{imported.library} model: {told}") from None


def recognised(source: bytes | str | Path) -> Format:
    """Return the format of a model file by its first bytes, or of a folder by what lies in it.

    Raises ModelFormatError, saying what the file seems to be where that can be told.
    """
    if not isinstance(source, bytes) and Path(source).is_dir():
        if (Path(source) / "metadata").is_dir():
            return "mllib"
        raise ModelFormatError(f"model folder {source}: expected Spark MLlib's, found no metadata/")
    start = _content(source)[:64]
    for mark, told in OTHER_FORMATS.items():
        if start.startswith(mark):
            raise ModelFormatError(f"model file: expected a model format known here, found {told}")
    if start[8:9] == b"{" and start[5:8] == b"\0\0\0":
        raise ModelFormatError("model file: found a safetensors file; is it a Kyros model already?")
    if start.startswith((b"tree\n", b"tree\r\n")):
        return "lightgbm"
    if start.startswith(b"{"):
        return "xgboost"
    if start.startswith(b"\x08") and len(start) > 8:  # ModelProto.ir_version comes first
        return "onnx"
    raise ModelFormatError(
        "model file: expected XGBoost JSON or UBJSON, LightGBM text, ONNX or a Spark MLlib folder, "
        f"found a file that begins with {start[:12]!r}"
    )


def _read(source: bytes | str | Path, format: Format, iterations: int | None) -> Imported:
    if format == "mllib":
        if isinstance(source, bytes):
            raise UsageError("format mllib: expected the path of the saved model's folder")
        return import_mllib(Path(source))
    data = _content(source)
    readers: dict[str, Callable[[], Imported]] = {
        "xgboost": lambda: _xgboost(data, iterations),
        "lightgbm": lambda: import_lightgbm(_text(data), iterations),
        "onnx": lambda: import_onnx(data),
    }
    return readers[format]()


def _content(source: bytes | str | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ModelFormatError(f"model file {source}: cannot be read ({error.strerror})") from error


def _text(data: bytes) -> str:
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"model file: expected UTF-8 text, found {error.reason}") from error


def _xgboost(data: bytes, iterations: int | None) -> Imported:
    found = trees_from_xgboost(data, iterations)
    return Imported(
        kind="trees",
        library="xgboost",
        version=found.version,
        objective=found.objective,
        family=found.family,
        link=found.link,
        intercept=found.intercept,
        feature_names=found.feature_names,
        n_features=found.trees.n_features,
        arrays=found.arrays(),
        outputs=found.outputs,
        levels=found.levels,
        category_rule="floor",
    )


def _features(imported: Imported, names: Sequence[str]) -> tuple[Feature, ...]:
    """Return the features: numbers, but for those whose categories' names the file holds."""
    if imported.features:
        return imported.features
    found: list[Feature] = []
    for number, name in enumerate(names):
        levels = imported.levels.get(number, ())
        if levels:
            found.append(Feature(name=name, kind="levels", levels=levels, unseen="missing"))
        else:
            found.append(Feature(name=name))
    return tuple(found)


def _names(imported: Imported, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the features' names: the file's own, or those given where it has none."""
    own, count = imported.feature_names, imported.n_features
    if own == tuple(f"Column_{k}" for k in range(count)):  # LightGBM for "no names"
        own = ()
    if own and given is not None and tuple(given) != own:
        raise UsageError(f"features: the file names them {', '.join(own)}; leave `features` out")
    names = own or tuple(given or ())
    if len(names) != count:
        told = f"{len(names)} names" if names else "no names in the file"
        raise UsageError(
            f"{imported.library} model: expected names for its {count} features, found {told}; "
            "give them as `features`, in the model's order"
        )
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise ModelNotSupportedError(f"{imported.library} model: features twice: {twice}")
    return names
