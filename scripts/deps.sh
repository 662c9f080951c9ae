#!/usr/bin/env bash
# Installs what building, testing and the demo need, all from Debian's packages. Does nothing when all of it is there.
set -euo pipefail

packages=(
  # build
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libnl-3-dev libnl-idiag-3-dev libnl-route-3-dev libnl-nf-3-dev
  libspdlog-dev libyaml-cpp-dev libcli11-dev libsystemd-dev libcap-dev
  libgtest-dev libgmock-dev googletest
  # running and testing
  iptables nftables iproute2 conntrack libcap2-bin procps util-linux systemd
  curl wget python3 python3-boto3 awscli busybox jq
  python3-pytest python3-fusepy fuse3 netcat-openbsd socat
  # scripts/bench.sh
  haproxy nginx-light
  # scripts/check.sh
  clang-format clang-tidy
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
  echo "deps.sh: missing ${missing[*]}; run as root to install them" >&2
  exit 1
fi
echo "Installing: ${missing[*]}"
apt-get update -qq
# No service that a package brings may start here: haproxy and nginx are run by the tests themselves.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
