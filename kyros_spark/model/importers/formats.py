"""Recognise a model file's format by its content, and say what to do with formats not read here."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from kyros_spark.errors import ModelFormatError

Format = Literal["xgboost", "lightgbm", "onnx", "mllib"]

CATBOOST = "load it in CatBoost and save it with save_model(path, format='onnx')"
SAVE_MODEL = "from which the library itself loads no model; save it with save_model"
ANEW = "fit it again with XGBoost, LightGBM, Spark MLlib or a GLM"

# What a file begins with -> what it is, and what to do
OTHER_FORMATS = {
    b"\x80": "a Python pickle, which runs code when read; save the model in its library's own "
    "format, or scikit-learn's as ONNX",
    b"binf": "XGBoost's old binary form; save it again as .json or .ubj",
    b"[": f"a JSON list, as XGBoost's dump, {SAVE_MODEL}",
    b"booster[": f"XGBoost's text dump, {SAVE_MODEL}",
    b"CBM1": f"CatBoost's binary form (.cbm); {CATBOOST}",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"\x89HDF": "an HDF5 file (Keras?); convert the model to ONNX, which is read if it is a tree "
    "ensemble or linear",
}

# A key of a JSON document -> what it is, and what to do
OTHER_DOCUMENTS = {
    "features_info": f"CatBoost's JSON; {CATBOOST}",
    "oblivious_trees": f"CatBoost's JSON; {CATBOOST}",
    "ebm": f"the JSON of an EBM (interpret), no form of which is read; {ANEW}",
    "tree_info": f"LightGBM's JSON dump, {SAVE_MODEL}",
    "Model": f"XGBoost's snapshot of its memory; {SAVE_MODEL.partition('; ')[2]}",
}

# What the name of a file in a zip archive ends with -> what the archive is, and what to do
OTHER_ARCHIVES = {
    "model.ini": "an H2O MOJO, which is not read; convert a GBM or a forest to ONNX with "
    f"onnxmltools.convert_h2o, or {ANEW}",
    "data.pkl": "a PyTorch archive; export the model as ONNX, which is read if it is a tree "
    "ensemble or linear",
    "schema.json": "a skops archive of scikit-learn; convert the model to ONNX with skl2onnx",
}


def format_of(source: bytes | str | Path) -> Format:
    """Return the format of a model file by its first bytes, or of a folder by its contents.

    Raises ModelFormatError for any other file, and says what it seems to be, if that is clear.
    """
    if not isinstance(source, bytes) and Path(source).is_dir():
        return _format_of_folder(Path(source))
    content = content_of(source)
    start = content[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    for prefix, description in OTHER_FORMATS.items():
        if content.startswith(prefix):
            raise _another(description)
    if content.startswith(b"PK\x03\x04"):
        raise _another(_archive(content))
    if start.startswith((b"<?xml", b"<PMML")):
        raise _another(_markup(content))
    if content[8:9] == b"{" and content[5:8] == b"\0\0\0":
        raise ModelFormatError("model file: found a safetensors file; is it a Kyros model already?")
    if content.startswith((b"tree\n", b"tree\r\n")):
        return "lightgbm"
    if content.startswith(b"{"):
        return "xgboost"
    if content.startswith(b"\x08") and len(content) > 8:  # ModelProto.ir_version comes first
        return "onnx"
    raise ModelFormatError(
        "model file: expected XGBoost JSON or UBJSON, LightGBM text, ONNX or a Spark MLlib folder, "
        f"found a file that begins with {content[:12]!r}"
    )


def refuse_other_document(keys: Collection[str]) -> None:
    """Refuse a JSON document that is not XGBoost's, by the names of its first level.

    Raises ModelFormatError that says which library's it is, or lists the names.
    """
    if "learner" in keys:
        return
    for key, description in OTHER_DOCUMENTS.items():
        if key in keys:
            raise _another(description)
    listed = ", ".join(sorted(keys)[:8]) or "none"
    raise _another(f"a JSON document without XGBoost's 'learner'; its keys are: {listed}")


def content_of(source: bytes | str | Path) -> bytes:
    """Return the bytes of a model file."""
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ModelFormatError(f"model file {source}: cannot be read ({error.strerror})") from error


def _format_of_folder(folder: Path) -> Format:
    if (folder / "metadata").is_dir():
        return "mllib"
    problem = "expected Spark MLlib's, found no metadata/"
    if (folder / "MLmodel").is_file():
        problem = "found MLflow's; name the model's own file or folder inside it"
    raise ModelFormatError(f"model folder {folder}: {problem}")


def _another(description: str) -> ModelFormatError:
    return ModelFormatError(f"model file: expected a model format known here, found {description}")


def _archive(content: bytes) -> str:
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        names = []
    for ending, description in OTHER_ARCHIVES.items():
        if any(name.rpartition("/")[2] == ending for name in names):
            return description
    return "a zip archive; unpack it and name the model inside"


def _markup(content: bytes) -> str:
    if b"<PMML" in content[:4096]:
        return (
            "PMML, which is not read; save the model from the library that fitted it in that "
            "library's own format, or as ONNX"
        )
    return "an XML document"
