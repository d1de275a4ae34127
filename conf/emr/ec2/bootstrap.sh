#!/usr/bin/env bash
# EMR on EC2 bootstrap action: puts the packed environment and the jobs on every node, at one path,
# so that Numba's cache survives from job to job. Needs the S3 folder and the archive's SHA-256, which
# conf/emr/pack.sh writes beside it; the target is /opt/kyros. Another archive is not unpacked.
set -euo pipefail
from=${1:?"expected the S3 folder, for example s3://BUCKET/kyros"}
sha256=${2:?"expected the SHA-256 of environment.tar.gz, from environment.tar.gz.sha256"}
to=${3:-/opt/kyros}
mkdir -p "$to" 2>/dev/null || sudo install -d -o "$(id -un)" "$to"
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
aws s3 cp "$from/environment.tar.gz" - >"$archive"
echo "$sha256  $archive" | sha256sum --check --status || {
  echo "bootstrap: $from/environment.tar.gz: expected sha256 $sha256," \
    "found $(sha256sum <"$archive" | cut -d' ' -f1)" >&2
  exit 1
}
tar -xz -C "$to" -f "$archive" # the jobs lie in it, too
"$to/bin/python" -c 'import kyros_spark' || {
  echo "bootstrap: $to/bin/python cannot import kyros_spark: expected an archive packed for" \
    "$(uname -m) and the Python of this release (conf/emr/pack.sh)" >&2
  exit 1
}
