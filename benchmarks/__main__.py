"""`python -m benchmarks [--only NAME]`: run the benchmarks; `make bench` calls this."""

import argparse
import sys

from benchmarks import (
    books,
    case,
    engine,
    explain,
    explain_tables,
    fuzz_inputs,
    fuzz_models,
    growth,
    iteration,
    monitor,
    predict,
    segments,
    stages,
    storm,
    train,
)

BENCHMARKS = {
    "engine": engine.main, "stages": stages.main, "train": train.main, "storm": storm.main,
    "case": case.main, "growth": growth.main, "iteration": iteration.main,
    "books": books.main, "fuzz-inputs": fuzz_inputs.main, "fuzz-models": fuzz_models.main,
    "explain": explain.main, "explain-tables": explain_tables.main, "segments": segments.main,
    "predict": predict.main, "monitor": monitor.main,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="one benchmark")
    parser.add_argument("--short", action="store_true", help="fewer cells and repeats")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else BENCHMARKS:
        BENCHMARKS[name](short=arguments.short)
    return 0


if __name__ == "__main__":
    sys.exit(main())
