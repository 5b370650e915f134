#!/bin/sh
# Walk through the developer portal with a real browser: see e2e/main.go.
#
#   deploy/portal/e2e.sh [-shots FOLDER] [-apis 500]
#
# Needs Debian, root the first time (apt), and npm's registry for axe-core, which
# is fetched into out/ and used by the test alone. Builds what is missing.
set -eu
cd "$(dirname "$0")/../.."
axe=4.14.1
sh .ci/install chromium npm
mkdir -p bin out/axe
[ -f out/axe/node_modules/axe-core/axe.min.js ] && grep -q "\"version\": \"$axe\"" out/axe/node_modules/axe-core/package.json ||
    npm install --silent --no-audit --no-fund --ignore-scripts --no-save --prefix out/axe "axe-core@$axe"
CGO_ENABLED=0 ${GO:-go} build -trimpath -o bin/headrace ./cmd/headrace
CGO_ENABLED=0 ${GO:-go} build -trimpath -o bin/e2e-portal ./deploy/portal/e2e
exec bin/e2e-portal -headrace bin/headrace -axe out/axe/node_modules/axe-core/axe.min.js "$@"
