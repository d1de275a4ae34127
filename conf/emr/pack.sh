#!/usr/bin/env bash
# Packs the wheel in dist/ and the locked packages beside it as environment.tar.gz, for
# spark.archives. Run it where the cluster's Python, C library and processor are: in the image of
# conf/emr/Dockerfile, or on a node. pyspark is left out: the platform brings its own.
#
#   conf/emr/pack.sh OUTPUT_FOLDER           (PYTHON=python3.11 unless told otherwise)
set -euo pipefail
out=$(realpath "${1:?"expected a folder for environment.tar.gz"}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wheels=(dist/kyros_spark-*.whl)
[ -f "${wheels[0]}" ] || { echo "pack: expected dist/kyros_spark-*.whl; run: make wheel" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/environment"
pip="$work/environment/bin/python -m pip --disable-pip-version-check --no-input"
$pip install --quiet --progress-bar off --require-hashes -r conf/emr/requirements.txt
$pip install --quiet --no-deps "${wheels[@]}"
$pip uninstall --quiet --yes pip setuptools
cp -r jobs "$work/environment/jobs"
mkdir -p "$out"
"$work/environment/bin/venv-pack" --quiet --force --prefix "$work/environment" \
  --output "$out/environment.tar.gz"
(cd "$out" && sha256sum environment.tar.gz >environment.tar.gz.sha256)
