"""A file of another format is named, with what to do."""

import io
import json
import zipfile

import numpy as np
import pytest
import xgboost

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.importers.formats import OTHER_ARCHIVES, OTHER_DOCUMENTS, OTHER_FORMATS
from kyros_spark.model.importers.recognise import import_model


def archive(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "content")
    return content.getvalue()


def refusal(content):
    with pytest.raises(ModelFormatError) as raised:
        import_model(content, "m", "claims")
    return str(raised.value)


NAMED = {
    **{prefix: (prefix + b" rest", text) for prefix, text in OTHER_FORMATS.items()},
    **{
        key: (json.dumps({"version": "1.0", key: []}).encode(), text)
        for key, text in OTHER_DOCUMENTS.items()
    },
    **{name: (archive("info", f"a/{name}"), text) for name, text in OTHER_ARCHIVES.items()},
}


@pytest.mark.parametrize("kind", NAMED)
def test_each_format_known_but_not_read_is_named(kind):
    content, description = NAMED[kind]
    assert refusal(content) == (
        f"model file: expected a model format known here, found {description}"
    )


PMML = b'<?xml version="1.0" encoding="UTF-8"?>\n<PMML version="4.3">'
SAID = {
    "CatBoost's JSON; load it in CatBoost and save it": b'{\n "features_info": {}}',
    "CatBoost's binary form": b"CBM10\x1c\0\0",
    "the JSON of an EBM": b'{"version": "1.0", "ebm": {}}',
    "an H2O MOJO": archive("model.ini", "trees/t00_000.bin"),
    "PMML, which is not read; save the model": PMML,
    "an XML document": b"<?xml version='1.0'?><a/>",
    "a zip archive; unpack it": archive("model.json"),
    "its keys are: a, b": b'{"a": 1, "b": 2}',
}


@pytest.mark.parametrize("said", SAID)
def test_what_to_do_is_said(said):
    assert said in refusal(SAID[said])


def test_what_xgboost_writes_besides_models_is_named(tmp_path):
    booster = xgboost.train({}, xgboost.DMatrix(np.eye(3), np.arange(3)), 1)
    assert "settings without trees" in refusal(booster.save_config().encode())
    assert "snapshot of its memory" in refusal(bytes(booster.__getstate__()["handle"]))
    for kind, said in (("json", "XGBoost's dump"), ("text", "XGBoost's text dump")):
        booster.dump_model(str(tmp_path / kind), dump_format=kind)
        assert said in refusal((tmp_path / kind).read_bytes())


def test_a_folder_of_mlflow_names_the_file_inside(tmp_path):
    (tmp_path / "MLmodel").write_text("flavors: {}")
    with pytest.raises(ModelFormatError, match="found MLflow's; name the model's own file"):
        import_model(tmp_path, "m", "claims")
