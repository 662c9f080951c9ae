#!/usr/bin/env bash
# What imdsgate costs, as a ratio to HAProxy without any check: both behind a REDIRECT on one lab host, nginx as the
# metadata service, a fixed number of requests, interleaved rounds, medians with their spread.
#
#   scripts/bench.sh [--rounds N] [--requests N] [--attribution auto|bpf|sock_diag]
#
# Or replay's speed, as a ratio to `jq -c .` over the same file, each on one core, interleaved rounds, medians:
#
#   scripts/bench.sh replay [--rounds N] [--events N] [--rule FILE]
set -Eeuo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$repository/build
rounds=7 requests=4000 attribution=auto events=200000 rule=$repository/config/rules/unusual-imds-request.yaml what=requests
[[ ${1-} != replay ]] || { what=replay rounds=5 && shift; }
while (($#)); do
  case $1 in
    --rounds) rounds=$2 ;;
    --requests) requests=$2 ;;
    --attribution) attribution=$2 ;;
    --events) events=$2 ;;
    --rule) rule=$(realpath "$2") ;;
    *) sed -n '5s/^# *//p;9s/^# *//p' "$0" >&2 && exit 2 ;;
  esac
  shift 2
done

"$repository/scripts/deps.sh"
cmake -S "$repository" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
if [[ $what == replay ]]; then targets=(imdsgate); else targets=(imdsgate load); fi
ninja -C "$build" --quiet "${targets[@]}"

# Seconds of processor time, user and system, of a command whose output is thrown away.
cpu_seconds() { { TIMEFORMAT='%U %S' && time "$@" >/dev/null; } 2>&1 | jq -Rr 'split(" ") | map(tonumber) | add'; }

bench_replay() {
  local round ours theirs
  file=$(mktemp)  # not local: the trap outlives the function
  trap 'rm -f "$file" "$file".*' EXIT
  /usr/bin/python3 "$repository/tests/bench/replay_events.py" "$events" >"$file"
  for ((round = 0; round <= rounds; ++round)); do
    theirs=$(cpu_seconds jq -c . "$file")
    ours=$(cpu_seconds "$build/imdsgate" replay --rule "$rule" "$file")
    ((round == 0)) || printf '{"jq": %s, "replay": %s}\n' "$theirs" "$ours" >>"$file.results"
  done
  jq -rs --argjson events "$events" --argjson bytes "$(stat -c %s "$file")" '
    def median: sort | .[length / 2 | floor];
    def rate: $events / . / 1000 | round;
    (map(.jq / .replay)) as $ratios
    | "\($events) events of \($bytes / $events | round) bytes: replay \(map(.replay) | median | rate) thousand a second of processor time, jq -c . \(map(.jq) | median | rate); \($ratios | median * 10 | round / 10) times (\($ratios | min * 10 | round / 10) to \($ratios | max * 10 | round / 10))"
  ' "$file.results"
}
if [[ $what == replay ]]; then
  bench_replay
  exit
fi

lab="$repository/scripts/lab.sh"
name=bench-$$
dir=$(mktemp -d)
pids=()
# shellcheck disable=SC2329
clean_up() {
  if ((${#pids[@]})); then
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true  # nothing holds a connection any more: each ends at once
  fi
  "$lab" down "$name"
  rm -rf "$dir"
}
trap clean_up EXIT
"$lab" up "$name" >/dev/null

# One service, three addresses: direct, behind HAProxy, behind imdsgate.
direct=169.254.170.2 relayed=169.254.170.23 guarded=169.254.169.254

cat >"$dir/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/nginx.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000; client_body_temp_path $dir; proxy_temp_path $dir;
  fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
  server { listen 80 backlog=4096 reuseport; location / { default_type text/plain; return 200 "i-0123456789abcdef0"; } }
}
CONF
cat >"$dir/haproxy.cfg" <<CONF
global
  maxconn 4096
  nbthread 1
  uid 65534
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
frontend in
  bind 127.0.0.1:881
  default_backend out
backend out
  server imds $relayed:80
CONF
cat >"$dir/imdsgate.yaml" <<CONF
provider: ec2
endpoints: [{address: $guarded, port: 80}]
control: {socket: $dir/control.sock}
limits: {connections_per_uid: 1024}
attribution: $attribution
sinks: [{type: file, path: $dir/events.ndjson}]
CONF

wait_for_port() { # namespace arguments, address, port
  local _
  for _ in {1..100}; do
    "$lab" exec "$name" "${@:3}" -- bash -c ": </dev/tcp/$1/$2" 2>/dev/null && return
    read -r -t 0.05 _ <> <(:) || true
  done
  echo "bench.sh: nothing listens on $1:$2" >&2
  exit 1
}

"$lab" exec "$name" --cloud -- nginx -c "$dir/nginx.conf" &
pids+=($!)
"$lab" exec "$name" -- haproxy -db -f "$dir/haproxy.cfg" >/dev/null 2>&1 &
pids+=($!)
"$lab" exec "$name" --cgroup imdsgate -- "$build/imdsgate" run --config "$dir/imdsgate.yaml" &
pids+=($!)
wait_for_port $direct 80
wait_for_port 127.0.0.1 881
wait_for_port 127.0.0.1 880
"$lab" exec "$name" -- iptables -t nat -A OUTPUT -d $relayed -p tcp --dport 80 -m owner ! --uid-owner 65534 -j REDIRECT --to-ports 881

load() { "$lab" exec "$name" --user 1000 --cgroup client -- "$build/tests/bench/load" "$@"; }
cases=("new connection" "keep-alive" "64 connections")
arguments=("--connections 1" "--connections 1 --keep-alive" "--connections 64")

for ((round = 0; round <= rounds; ++round)); do
  for i in 0 1 2; do
    for target in "direct $direct" "haproxy $relayed" "imdsgate $guarded"; do
      # shellcheck disable=SC2086
      line=$(load "${target#* }:80" /latest/meta-data/instance-id --requests "$requests" ${arguments[i]})
      ((round == 0)) || jq -c --arg case "${cases[i]}" --arg who "${target%% *}" '. + {case: $case, who: $who}' <<<"$line" >>"$dir/results"
    done
  done
done

jq -rs '
  def median: sort | .[length / 2 | floor];
  def spread: "\(min | . * 100 | round / 100) to \(max | . * 100 | round / 100)";
  group_by(.case) | map(
    . as $all | (map(select(.who == "haproxy"))) as $h | (map(select(.who == "imdsgate"))) as $g | (map(select(.who == "direct"))) as $d
    | [range($h | length) | $g[.].p50 / $h[.].p50] as $ratios
    | "\($all[0].case):\tp50 \($ratios | median * 100 | round / 100) of HAProxy (\($ratios | spread)), rate \([range($h | length) | $g[.].rps / $h[.].rps] | median * 100 | round / 100); p50 µs: direct \($d | map(.p50) | median | round), HAProxy \($h | map(.p50) | median | round), imdsgate \($g | map(.p50) | median | round); failed \($all | map(.failed) | add)"
  )[]' "$dir/results"
