#!/usr/bin/env bash
# The units and the sysusers file, checked by systemd's own tools in a staged tree, as they would be installed: verify
# fails when a unit's program is not at its path. Any word of theirs is a failure. Usage: verify.sh SOURCE_DIR
set -euo pipefail

source_dir=$1
for tool in systemd-analyze systemd-sysusers; do
  command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 77; }
done
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

units=$root/usr/lib/systemd/system
mkdir -p "$units" "$root"/{usr/sbin,usr/bin,etc,run,var,usr/lib/sysusers.d,etc/imdsgate}
ln -s usr/bin "$root/bin"
ln -s usr/sbin "$root/sbin"
ln -s usr/lib "$root/lib"
install -m 755 /bin/true "$root/usr/sbin/imdsgate"
install -m 755 /bin/kill "$root/usr/bin/kill"
cp /lib/systemd/system/*.target /lib/systemd/system/*.slice "$units"
cp "$source_dir"/systemd/imdsgate.{service,socket} "$units"
cp "$source_dir/systemd/imdsgate.sysusers" "$root/usr/lib/sysusers.d/imdsgate.conf"
cp /etc/passwd /etc/group "$root/etc"

failed=0
expect_silence() {
  local output status=0
  output=$("$@" 2>&1) || status=$?
  if ((status != 0)) || [[ -n $output ]]; then
    printf 'FAIL (exit %d): %s\n%s\n' "$status" "$*" "$output"
    failed=1
  fi
}

verify() { systemd-analyze verify --man=no --recursive-errors=yes --root="$root" "$@"; }
expect_silence verify imdsgate.service imdsgate.socket

systemd-sysusers --root="$root" imdsgate.conf >/dev/null 2>&1 || true
grep -q '^imdsgate:' "$root/etc/passwd" || { echo 'FAIL: no user imdsgate'; failed=1; }
grep -q '^imdsgate:' "$root/etc/group" || { echo 'FAIL: no group imdsgate'; failed=1; }

# That silence means something: the same check notices a directive that does not exist and a program that is not there.
sed 's/^UMask=/Umaskk=/' "$source_dir/systemd/imdsgate.service" >"$units/imdsgate.service"
[[ -n $(verify imdsgate.service 2>&1) ]] || { echo 'FAIL: a bad directive went unnoticed'; failed=1; }
cp "$source_dir/systemd/imdsgate.service" "$units"
rm "$root/usr/sbin/imdsgate"
[[ -n $(verify imdsgate.service 2>&1) ]] || { echo 'FAIL: a missing program went unnoticed'; failed=1; }

# Design §4: the daemon has to see the host's files at the host's paths, and every process.
forbidden='^(PrivateTmp|ProtectHome|ProtectSystem|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|TemporaryFileSystem|BindPaths|BindReadOnlyPaths|RootDirectory|RootImage|PrivateMounts|PrivateDevices|PrivateUsers|PrivatePIDs|PrivateNetwork|ProtectProc|ProcSubset|ProtectKernelTunables|ProtectKernelModules|ProtectKernelLogs|ProtectControlGroups|DynamicUser|MountFlags)='
if grep -nE "$forbidden" "$source_dir/systemd/imdsgate.service"; then
  echo 'FAIL: a namespace of its own would make executables unprovable or processes invisible'
  failed=1
fi
ambient=$(sed -n 's/^AmbientCapabilities=//p' "$source_dir/systemd/imdsgate.service")
bounding=$(sed -n 's/^CapabilityBoundingSet=//p' "$source_dir/systemd/imdsgate.service")
expected='CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_BPF CAP_PERFMON'
[[ $ambient == "$expected" && $bounding == "$expected" ]] || { echo 'FAIL: other capabilities than the seven'; failed=1; }

exit $failed
