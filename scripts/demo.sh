#!/usr/bin/env bash
# Builds imdsgate, makes a lab with a metadata service of our own, and lets eight clients ask for the role's credentials:
# first in audit, then in enforce. Ends with a table: who asked for what, the verdict, and why.
#   demo.sh [--keep]     --keep: leave it running, with a shell inside
set -euo pipefail

keep=false
case ${1-} in
  '') ;;
  --keep) keep=true ;;
  *)
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${IMDSGATE_BUILD:-$repository/build}
lab=$repository/scripts/lab.sh
name=demo-$$
role=/latest/meta-data/iam/security-credentials/demo-role
url=http://169.254.169.254$role

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say 'Packages and build'
"$repository/scripts/deps.sh"
export CCACHE_BASEDIR=$repository CCACHE_NOHASHDIR=1
cmake -S "$repository" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
ninja -C "$build" imdsgate
cc -O2 -static -o "$build/demo-agent" "$repository/tests/fakes/agent.c"

tool=/tmp/$name-tool
clean_up() {
  rm -f "$tool"
  "$lab" down "$name"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

say 'A lab: a host with eth0, and a metadata service at 169.254.169.254 and fd00:ec2::254'
directory=$("$lab" up "$name")
"$lab" serve "$name" >/dev/null

agent=/opt/imdsgate-lab/$name/agent
homes=/var/lib/imdsgate-lab/$name/home
inventory=/opt/imdsgate-lab/$name/inventory
install -m 755 "$build/demo-agent" "$agent"
install -m 755 "$build/demo-agent" "$inventory"
install -m 755 "$build/demo-agent" "$tool"

cat >"$directory/imdsgate.yaml" <<YAML
mode: audit
provider: ec2
control: {socket: $directory/control.sock}
sinks:
  - {type: file, path: $directory/events.ndjson}
allow:
  - name: backup-agent
    when: process.executable == "$agent" and user.id == "34"
    methods: [GET, PUT]
    paths: ["/latest/api/token", "/latest/meta-data/iam/security-credentials/**"]
YAML

imdsgate() { "$lab" exec "$name" -- "$build/imdsgate" "$@" --config "$directory/imdsgate.yaml"; }
as() {
  local user=$1
  shift
  # By bash: below /tmp a script of that path would be what the client was exec'd from.
  bash "$lab" exec "$name" --user "$user" --cgroup "client-$user" -- "$@" </dev/null >/dev/null 2>&1 || true
}

# A program of its own in a home directory, which no criterion of the rule names, and a script that has no tool at all.
as 38 true
install -m 755 /usr/bin/curl "$homes/38/report"
printf 'url = "%s"\n' "$url" >"$homes/38/request"
as 39 true
cat >"$homes/39/collect.sh" <<'SCRIPT'
#!/bin/bash
read -r path <"$(dirname "$0")/path"
exec 3<>"/dev/tcp/169.254.169.254/80"
printf 'GET %s HTTP/1.0\r\nHost: metadata\r\n\r\n' "$path" >&3
while read -r line <&3; do echo "$line"; done
SCRIPT
printf '%s\n' "$role" >"$homes/39/path"
chmod 755 "$homes/39/collect.sh"

clients() {
  as 33 sh -c "curl -s $url; exit \$?"                                                       # www-data: a web shell
  as 65534 wget -qO- "$url"                                                                  # nobody
  as 13 /usr/bin/python3 -c "import urllib.request as u; print(u.urlopen('$url').read())"    # proxy
  as 39 "$homes/39/collect.sh"                                                               # irc: /dev/tcp
  as 10 "$tool" v4 "$role"                                                                   # uucp: a binary in /tmp
  as 38 "$homes/38/report" -s -K "$homes/38/request"                                         # list: a renamed curl
  as 2 bash -c "sleep 0.2 | curl -s -K -; $inventory v4 /latest/meta-data/instance-id; true"           # bin: after a curl of the same shell
  as 34 "$agent" v6 "$role"                                                                  # backup: the agent with a grant
}

say 'Audit: everything is forwarded, what the rule names is an alert'
# Started outside the lab's network, which it then guards: the kernel tells of execs in the first network alone.
"$lab" daemon "$name" "$directory/gateway.log" --outside -- \
  "$build/imdsgate" run --config "$directory/imdsgate.yaml" --netns "$name" >"$directory/gateway.pid"
clients
say 'Enforce: imdsgate mode enforce'
imdsgate mode enforce
clients

if ! $keep; then
  kill "$(cat "$directory/gateway.pid")" # a stop writes out every event
  tail --pid="$(cat "$directory/gateway.pid")" -f /dev/null
fi
say 'Who asked for what'
"$repository/scripts/show_events.py" "$directory/events.ndjson"

if $keep; then
  say "The gateway runs in enforce. In this shell you are root on the lab's host; leaving it removes everything."
  cat <<HELP
  curl -si $url
  imdsgate status | mode audit | mode enforce        (reads $directory/imdsgate.yaml)
  tail -f $directory/events.ndjson | jq .
  $repository/scripts/show_events.py $directory/events.ndjson
HELP
  {
    echo "PS1='(imdsgate lab) \\w \\$ '"
    echo "imdsgate() { '$build/imdsgate' \"\$@\" --config '$directory/imdsgate.yaml'; }"
  } >"$directory/shell.rc"
  "$lab" exec "$name" --cgroup shell -- bash --rcfile "$directory/shell.rc" -i || true
fi
