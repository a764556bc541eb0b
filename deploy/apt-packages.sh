#!/usr/bin/env bash
# The Debian packages that `make test-tools` needs and nothing else does: `prometheus`, which brings promtool.
# `make demo`, `make test` and the product itself do without them.
set -euo pipefail

if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "make test-tools needs promtool; install Prometheus with your system's package manager" >&2
    exit 2
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "installing packages needs root: sudo bash deploy/apt-packages.sh" >&2
    exit 2
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
install_packages() {
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends prometheus
}
if ! DEBIAN_FRONTEND=noninteractive install_packages </dev/null >"$log" 2>&1; then
    cat "$log" >&2
    echo "the package prometheus could not be installed; apt-get's own words are above" >&2
    exit 1
fi
# Tests start their own; not the server that the package starts where systemd runs.
if [ -d /run/systemd/system ]; then
    systemctl disable --quiet --now prometheus.service
fi
