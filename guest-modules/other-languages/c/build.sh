#!/usr/bin/env bash
# Builds the policy: build.sh OUTPUT
#
# Needs python3 with pip, and kubectl-ecr on the path or in $KUBECTL_ECR. Zig is installed, pinned by hash, into $TOOLS,
# which is `.tools` beside this script when it is not set. What is there already is not installed again.
#
# bindings/policy.{c,h} are generated, and kept so that a build needs no generator. After a change of the interface:
#   cargo install wit-bindgen-cli --version 0.63.0 --locked --no-default-features --features c
#   wit-bindgen c --world policy --no-object-file --out-dir bindings ../../../wit
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${1:?usage: build.sh OUTPUT}
wit=$here/../../../wit/policy.wit

mkdir -p "${TOOLS:=$here/.tools}" "$(dirname "$output")"
tools=$(cd "$TOOLS" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A copy of the list of pins is written last: it says that the installation is whole, and of which versions.
zig=$tools/c-zig
if ! cmp -s "$here/requirements.txt" "$zig/requirements.txt"; then
    rm -rf "$zig"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-compile \
        --no-deps --only-binary :all: --require-hashes --requirement "$here/requirements.txt" --target "$zig"
    cp "$here/requirements.txt" "$zig/"
fi

# A reactor is a module without `main`. By default Zig gives it a stack of 16 MiB, which is all memory that a policy may
# have; 64 KiB is plenty.
export ZIG_GLOBAL_CACHE_DIR=$tools/c-zig-cache ZIG_LOCAL_CACHE_DIR=$work/zig-cache
cd "$work"
"$zig/ziglang/zig" cc --target=wasm32-wasi -mexec-model=reactor -std=c17 -Oz -s -Wall -Wextra -Werror \
    -Wl,-z,stack-size=65536 -o policy.core.wasm \
    "$here/policy.c" "$here/bindings/policy.c" "$here/bindings/component_type.c"

cd "$OLDPWD"
# It adds the types of the interface, and makes a component of the module.
"${KUBECTL_ECR:-kubectl-ecr}" policy build --module "$work/policy.core.wasm" --output "$output"
