"""Score damaged model files by their own library, a process for each: the jury of fuzz_models.

    python -m benchmarks.fuzz_models_library FORMAT FOLDER

For each FOLDER/NUMBER.model writes NUMBER.scores.npy, or NUMBER.refused; a file that takes its
process down, or holds it for SECONDS, leaves neither. The processes are forks of one that has the
library imported but never used.
"""

import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np


def by_xgboost(data, rows):
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
    return booster.inplace_predict(rows.astype(np.float32), predict_type="margin")


def by_lightgbm(data, rows):
    import lightgbm

    booster = lightgbm.Booster({"num_threads": 1, "verbose": -1}, model_str=data.decode())
    return booster.predict(rows, raw_score=True, num_threads=1)


def by_onnx(data, rows):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: rows.astype(np.float32)})
    return answer[:, 0]


LIBRARIES = {
    "xgboost-json": by_xgboost,
    "xgboost-ubj": by_xgboost,
    "lightgbm": by_lightgbm,
    "onnx": by_onnx,
}


SECONDS, BYTES = 2, 4 << 30


def answer(form, path):
    rows = np.load(path.with_suffix(".rows.npy"))
    try:
        scores = LIBRARIES[form](path.read_bytes(), rows)
    except Exception as error:
        path.with_suffix(".refused").write_text(str(error)[:500])
        return
    np.save(path.with_suffix(".scores.npy"), np.asarray(scores, np.float64))


def main(form, folder):
    __import__({"lightgbm": "lightgbm", "onnx": "onnxruntime"}.get(form, "xgboost"))
    for path in sorted(Path(folder).glob("*.model")):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        signal.alarm(SECONDS)  # whose default is to end the process
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            answer(form, path)
        finally:
            os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
