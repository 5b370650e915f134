#!/bin/sh
# Drive a real Tryton server through Headrace: see e2e/main.go.
#
#   deploy/tryton/e2e.sh [-log]
#
# Needs Debian 12, and root the first time (apt). Builds what is missing.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p bin
[ -x bin/headrace ] || CGO_ENABLED=0 ${GO:-go} build -trimpath -o bin/headrace ./cmd/headrace
CGO_ENABLED=0 ${GO:-go} build -trimpath -o bin/e2e-tryton ./deploy/tryton/e2e
exec bin/e2e-tryton "$@"
