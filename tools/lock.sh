#!/bin/sh
# Resolves the dependencies into hashed lock files that name no address.
set -eu
cd "$(dirname "$0")/.."
for kind in run dev; do
    out=requirements.lock extra=--extra=build
    [ $kind = dev ] && out=requirements-dev.lock extra="--extra=build --extra=dev"
    # shellcheck disable=SC2086 # a list of words on purpose
    uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate \
        $extra --python-version 3.11 pyproject.toml -o $out
done
