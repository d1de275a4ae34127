#!/usr/bin/env bash
# EMR on EC2 bootstrap action: puts the packed environment and the jobs on every node, at one path,
# so that Numba's cache survives from job to job. Needs the S3 folder; the target is /opt/kyros.
set -euo pipefail
from=${1:?"expected the S3 folder, for example s3://BUCKET/kyros"}
to=${2:-/opt/kyros}
mkdir -p "$to" 2>/dev/null || sudo install -d -o "$(id -un)" "$to"
aws s3 cp "$from/environment.tar.gz" - | tar -xz -C "$to"
aws s3 cp --recursive "$from/jobs/" "$to/jobs/"
"$to/bin/python" -c 'import kyros_spark' || {
  echo "bootstrap: $to/bin/python cannot import kyros_spark: expected an archive packed for" \
    "$(uname -m) and the Python of this release (conf/emr/pack.sh)" >&2
  exit 1
}
