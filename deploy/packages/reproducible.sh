# What makes two builds of one commit the same bytes: dates are the commit's, and no file has a path of
# this machine in it. Sourced by bash, in the root of the checkout.
#
#   out        the folder for what is built
#   version, revision
#   cargo      `cargo auditable`, which puts the list of crates into the binaries
#   remap      flags of rustc

out=${1:-target/debian}
revision=${REVISION:-1}
mkdir -p "$out"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
host=$(rustc -vV | sed -n 's/^host: //p')
cargo=(cargo auditable)
remap="--remap-path-prefix=$PWD=/corelane --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"

say() { printf '=== %s\n' "$*"; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

# wanted CRATE VERSION: the program `cargo-...` of that crate. Other versions may write other bytes.
wanted() {
    command -v "$1" >/dev/null || fail "no $1: cargo install $1 --version $2 --locked"
}
wanted cargo-auditable 0.7.7
