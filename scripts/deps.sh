#!/usr/bin/env bash
# Installs what building, testing and the demo need, all from Debian's packages. Does nothing when all of it is there.
set -euo pipefail

packages=(
  # build
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libnl-3-dev libnl-idiag-3-dev libnl-route-3-dev libnl-nf-3-dev
  libspdlog-dev libyaml-cpp-dev libre2-dev libcli11-dev libsystemd-dev libcap-dev libseccomp-dev libsodium-dev
  libnghttp2-dev libprotobuf-dev protobuf-compiler
  libtomlplusplus-dev clang bpftool libbpf-dev libgoogle-perftools-dev
  libgtest-dev libgmock-dev googletest
  # running and testing
  iptables nftables iproute2 conntrack libcap2-bin procps util-linux systemd
  curl wget python3 python3-boto3 python3-google-auth awscli s3fs busybox jq
  python3-pytest python3-grpcio python3-protobuf python3-fusepy fuse3 netcat-openbsd socat
  # the modules of cloud-init and waagent, which the tests run from unpacked packages
  python3-configobj python3-jinja2 python3-jsonpatch python3-jsonschema python3-netifaces python3-oauthlib
  python3-requests python3-serial python3-yaml python3-distro python3-pkg-resources
  # the libraries of google-compute-engine-oslogin, which the tests run in the same way
  libcurl4 libjson-c5
  # scripts/bench.sh
  haproxy nginx-light
  # scripts/check.sh
  clang-format clang-tidy clang-14 libfuzzer-14-dev
)

install_packages() {
  local missing=() package status
  for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    [[ $status == ii* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    echo "deps.sh: missing ${missing[*]}; run as root to install them" >&2
    return 1
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
}

# Installed, a cloud's agent would change this machine: it is fetched and unpacked only. The unpacked tree is reused.
unpack_agent() {
  local cache=${IMDSGATE_CACHE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/cache}/$1
  [[ ! -d $cache/root ]] || return 0
  mkdir -p "$cache"
  if ! compgen -G "$cache/*.deb" >/dev/null; then
    (cd "$cache" && apt-get download -qq -o APT::Sandbox::User=root "$1")
  fi
  rm -rf "$cache/root.new"
  dpkg-deb -x "$cache/$1"_*.deb "$cache/root.new"
  mv "$cache/root.new" "$cache/root"
}

# The SDKs that tests/integration/test_sdks.py runs, in versions of their own choice. Without npm's registry these
# tests are skipped, and say so.
install_node_clients() {
  local root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  local wanted=$root/tests/integration/clients/node/package.json cache=${IMDSGATE_CACHE:-$root/build/cache}/node
  ! cmp -s "$wanted" "$cache/installed.json" || return 0
  mkdir -p "$cache"
  cp "$wanted" "$cache/package.json"
  if (cd "$cache" && npm install --silent --no-audit --no-fund --no-package-lock); then
    cp "$wanted" "$cache/installed.json"
  else
    echo "deps.sh: npm could not install the SDKs for Node.js; their tests will be skipped" >&2
  fi
}

# Node.js from elsewhere than Debian brings npm with it, and will not have Debian's beside it.
command -v npm >/dev/null || packages+=(nodejs npm)
install_packages
for agent in cloud-init waagent amazon-ec2-net-utils google-compute-engine-oslogin google-guest-agent; do
  unpack_agent "$agent"
done
install_node_clients
