#!/usr/bin/env bash
# Builds the policy: build.sh OUTPUT [quickjs|spidermonkey]
#
# JavaScript needs an engine, and the component carries it. ../README.md compares the two.
#
# Needs Node.js with npm. All else is installed, pinned by hash, into $TOOLS, which is `.tools` beside this script when
# it is not set. What is there already is not installed again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${1:?usage: build.sh OUTPUT [quickjs|spidermonkey]}
engine=$here/${2:-quickjs}
wit=$here/../../../wit
if [[ ! -f $engine/package-lock.json ]]; then
    echo "there is no engine ${engine##*/}; there are spidermonkey and quickjs" >&2
    exit 2
fi

mkdir -p "${TOOLS:=$here/.tools}" "$(dirname "$output")"
tools=$(cd "$TOOLS" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A copy of the list of pins is written last: it says that the installation is whole, and of which versions.
node=$tools/javascript-${engine##*/}
if ! cmp -s "$engine/package-lock.json" "$node/installed-lock.json"; then
    rm -rf "$node"
    mkdir "$node"
    cp "$engine/package.json" "$engine/package-lock.json" "$node/"
    npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    cp "$engine/package-lock.json" "$node/installed-lock.json"
fi

# Node.js looks for packages beside the script.
ln -s "$node/node_modules" "$work/node_modules"
cp "$engine/componentize.mjs" "$here/policy.js" "$work/"
cd "$work"
node componentize.mjs policy.js "$wit" policy.wasm
cd "$OLDPWD"
mv "$work/policy.wasm" "$output"
