#!/usr/bin/env bash
# The one place that makes and removes namespaces. A lab is a host and a cloud:
#
#   host namespace NAME                         cloud namespace NAME-cloud
#   lo, eth0 10.66.0.2/24 fd66::2/64  ──veth──  cloud0 10.66.0.1/24 fd66::1/64, and the guarded addresses
#
#   lab.sh up NAME                 makes it, prints its directory
#   lab.sh serve NAME [OPTION…]    starts tests/fakes/imds.py in the cloud, prints its pid once it listens
#   lab.sh daemon NAME LOG [--outside] -- CMD…   starts CMD in the host namespace, prints its pid once it is READY (sd_notify)
#   lab.sh bridge NAME BRIDGE N    a bridge of the host's, 10.N.0.1/24 and fdN::1/64, as a container runtime makes one; the host forwards
#   lab.sh container NAME C BRIDGE N M [ADDRESS]   a namespace NAME-C behind it, eth0 10.N.0.M and fdN::M, and ADDRESS besides
#   lab.sh exec NAME [--cloud | --in C | --outside] [--user UID[:GID]] [--cgroup C | --unit U] -- CMD…
#       --outside: in the machine's own network, for an `imdsgate run --netns NAME`: exec events are told there only
#       --unit: in the cgroup that a service or scope of that name has, system.slice/U, for which the machine must have none of its own
#   lab.sh down NAME               ends what runs in it and removes everything; no error when there is no such lab
#   lab.sh run [--serve "OPTION…"] -- CMD…   a lab of its own around one command in the host namespace (LAB is its name)
#
# Sockets and logs are in /run/imdsgate-lab/NAME, home directories in /var/lib/imdsgate-lab/NAME/home/UID (a path that
# no rule finds suspicious), root's own programs in /opt/imdsgate-lab/NAME. Every process of a lab is in its cgroup.
set -Eeuo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
guarded4=(169.254.169.254 168.63.129.16 169.254.170.2 169.254.170.23)
guarded6=(fd00:ec2::254 fd00:ec2::23)

die() {
  echo "lab.sh: $*" >&2
  exit 1
}

# Sets the paths of lab $1.
select_lab() {
  [[ ${1-} =~ ^[a-z0-9][a-z0-9-]{0,40}$ ]] || die "a lab's name is lower-case letters, digits and dashes: '${1-}'"
  host=$1 cloud=$1-cloud
  directory=/run/imdsgate-lab/$1 state=/var/lib/imdsgate-lab/$1 programs=/opt/imdsgate-lab/$1
  local mount
  mount=$(findmnt -n -f -t cgroup2 -o TARGET) || true
  [[ -n $mount ]] || die "no cgroup2 hierarchy is mounted"
  slice=$mount/system.slice group=$mount/imdsgate-lab-$1
}

# Runs a command while no other lab makes or removes what labs share: a directory is not removed between another's making it
# and putting its own into it. What the command starts must not outlive it: it would hold the lock.
alone() {
  local lock status=0
  exec {lock}</run
  flock "$lock"
  "$@" || status=$?
  exec {lock}<&-
  return "$status"
}

set_sysctl() { # namespace, name, value: a kernel without it has nothing to set
  nsenter --net="/run/netns/$1" sysctl -qw "$2=$3" 2>/dev/null || true
}

# The kernel tells that eth0 is running some time after both ends are up.
wait_for_link() {
  local events monitor _ tries=50
  exec {events}< <(exec ip -n "$host" -o monitor link)
  monitor=$!
  until [[ $(ip -n "$host" -o link show eth0) == *'state UP'* ]]; do
    ((tries--)) || die "eth0 does not come up"
    read -r -t 0.1 _ <&"$events" || true
  done
  kill "$monitor"
  exec {events}<&-
}

make_network() {
  local namespace address
  ip netns add "$host"
  ip netns add "$cloud"
  for namespace in "$host" "$cloud"; do
    set_sysctl "$namespace" net.ipv6.conf.default.accept_dad 0
    set_sysctl "$namespace" net.ipv6.conf.default.accept_ra 0
    # A load must not run out of ports, or fill the table of connections (they stay there a minute otherwise).
    set_sysctl "$namespace" net.ipv4.ip_local_port_range "1024 65535"
    set_sysctl "$namespace" net.ipv4.tcp_tw_reuse 1
    set_sysctl "$namespace" net.netfilter.nf_conntrack_tcp_timeout_time_wait 1
    set_sysctl "$namespace" net.netfilter.nf_conntrack_tcp_timeout_close 1
    ip -n "$namespace" link set lo up
  done
  ip -n "$host" link add eth0 type veth peer name cloud0 netns "$cloud"
  ip -n "$host" address add 10.66.0.2/24 dev eth0
  ip -n "$host" address add fd66::2/64 dev eth0 nodad
  ip -n "$cloud" address add 10.66.0.1/24 dev cloud0
  ip -n "$cloud" address add fd66::1/64 dev cloud0 nodad
  for address in "${guarded4[@]}"; do ip -n "$cloud" address add "$address/32" dev cloud0; done
  for address in "${guarded6[@]}"; do ip -n "$cloud" address add "$address/128" dev cloud0 nodad; done
  # Every other address is the cloud's too, and refuses: a client's resolver fails at once instead of waiting.
  ip -n "$cloud" route add local default dev lo table main
  ip -n "$cloud" -6 route add local default dev lo table main
  set_sysctl "$cloud" net.ipv4.icmp_ratelimit 0
  set_sysctl "$cloud" net.ipv6.icmp.ratelimit 0
  ip -n "$cloud" link set cloud0 up
  ip -n "$host" link set eth0 up
  wait_for_link
  ip -n "$host" route add default via 10.66.0.1
  ip -n "$host" -6 route add default via fd66::1
}

make_bridge() { # bridge, N
  local bridge=$1 n=$2 family
  for family in ipv4.ip_forward ipv6.conf.all.forwarding; do set_sysctl "$host" "net.$family" 1; done
  ip -n "$host" link add "$bridge" type bridge forward_delay 0
  ip -n "$host" address add "10.$n.0.1/24" dev "$bridge"
  ip -n "$host" address add "fd$n::1/64" dev "$bridge" nodad
  ip -n "$host" link set "$bridge" up
  ip -n "$cloud" route add "10.$n.0.0/24" via 10.66.0.2
  ip -n "$cloud" -6 route add "fd$n::/64" via fd66::2
}

make_container() { # C, bridge, N, M, another address
  local namespace=$host-$1 bridge=$2 n=$3 m=$4
  echo "$namespace" >>"$directory/containers"
  ip netns add "$namespace"
  set_sysctl "$namespace" net.ipv6.conf.default.accept_dad 0
  ip -n "$namespace" link set lo up
  ip -n "$host" link add "v-$1" type veth peer name eth0 netns "$namespace"
  ip -n "$host" link set "v-$1" master "$bridge" up
  ip -n "$namespace" address add "10.$n.0.$m/24" dev eth0
  ip -n "$namespace" address add "fd$n::$m/64" dev eth0 nodad
  [[ -z ${5-} ]] || ip -n "$namespace" address add "$5/32" dev eth0
  ip -n "$namespace" link set eth0 up
  ip -n "$namespace" route add default via "10.$n.0.1"
  ip -n "$namespace" -6 route add default via "fd$n::1"
}

up() {
  select_lab "$1"
  [[ ! -e /run/netns/$host && ! -e $group ]] || die "there is a lab $1 already"
  trap 'trap - ERR; down "$host"' ERR
  alone install -d -m 755 "$directory" "$state" "$state/home" "$programs"
  mkdir "$group" "$group/cloud" "$group/daemon" "$group/client"
  make_network
  trap - ERR
  echo "$directory"
}

# Becomes the command, inside the lab.
enter() {
  local namespace=$host user='' cgroup=client unit='' outside=false
  while (($#)); do
    case $1 in
      --cloud) namespace=$cloud cgroup=cloud ;;
      --in) namespace=$host-$2 && shift ;;
      --outside) outside=true ;;
      --user) user=$2 && shift ;;
      --cgroup) cgroup=$2 && shift ;;
      --unit) unit=$2 && shift ;;
      --) shift && break ;;
      *) die "exec: unknown option $1" ;;
    esac
    shift
  done
  (($#)) || die "exec: no command"
  [[ -e /run/netns/$namespace ]] || die "there is no lab $host"
  [[ $cgroup =~ ^[A-Za-z0-9._@-]+(/[A-Za-z0-9._@-]+)*$ && $cgroup != *..* ]] || die "exec: bad cgroup $cgroup"
  if [[ -n $unit ]]; then
    [[ $unit =~ ^[A-Za-z0-9:_.@-]+\.(service|scope)$ ]] || die "exec: bad unit $unit"
    alone mkdir -p "$slice/$unit"
    echo "$unit" >>"$directory/units"
    echo $BASHPID >"$slice/$unit/cgroup.procs"
  else
    mkdir -p "$group/$cgroup"
    echo $BASHPID >"$group/$cgroup/cgroup.procs"
  fi
  local as=()
  if [[ -n $user ]]; then
    local uid=${user%%:*} gid=${user##*:}
    install -d -m 755 -o "$uid" -g "$gid" "$state/home/$uid"
    export HOME=$state/home/$uid USER=$uid LOGNAME=$uid
    as=(setpriv --reuid "$uid" --regid "$gid" --clear-groups --)
  fi
  ! $outside || exec "${as[@]}" "$@"
  # nsenter, not `ip netns exec`: that one hides /sys/fs/cgroup behind a sysfs of its own.
  exec nsenter --net="/run/netns/$namespace" -- "${as[@]}" "$@"
}

serve() {
  local addresses=() address line ready
  for address in "${guarded4[@]}" "${guarded6[@]}"; do addresses+=(--address "$address"); done
  exec {ready}< <(enter --cloud -- /usr/bin/python3 "$repository/tests/fakes/imds.py" "${addresses[@]}" \
    --port 80 --log "$directory/cloud.ndjson" --ready-fd 1 "$@" </dev/null 2>>"$directory/cloud.err")
  local pid=$!
  read -r line <&"$ready" && [[ $line == READY ]] || die "the service did not start: $(tail -n 3 "$directory/cloud.err")"
  echo "$pid" | tee "$directory/cloud.pid"
}

# As a service manager starts a Type=notify unit.
start_daemon() {
  local log=$1 where=()
  shift
  [[ ${1-} != --outside ]] || { where=(--outside) && shift; }
  shift
  enter "${where[@]}" --cgroup daemon -- /usr/bin/python3 - "$directory/notify" "$log" "$@" <<'PY'
import os, select, socket, subprocess, sys
path, log, *command = sys.argv[1:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.path.exists(path):
    os.unlink(path)
notify.bind(path)
with open(log, "ab") as file:
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                              env={**os.environ, "NOTIFY_SOCKET": path})
pidfd = os.pidfd_open(daemon.pid)
while True:
    readable, _, _ = select.select([notify, pidfd], [], [], 30)
    if notify in readable and b"READY=1" in notify.recv(4096).split(b"\n"):
        print(daemon.pid)
        sys.exit(0)
    if notify not in readable:
        with open(log, errors="replace") as file:
            sys.exit(f"lab.sh: {command[0]} did not get ready:\n{file.read()[-2000:]}")
PY
}

# Ends every process of the lab and returns when the kernel says that the cgroup is empty.
end_processes() {
  /usr/bin/python3 - "$group" <<'PY'
import select, sys
group = sys.argv[1]
with open(group + "/cgroup.events") as events:
    with open(group + "/cgroup.kill", "w") as kill:
        kill.write("1")
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    for _ in range(100):
        events.seek(0)
        if "populated 0" in events.read():
            sys.exit(0)
        poll.poll(1000)
sys.exit("lab.sh: processes of the lab do not end")
PY
}

down() {
  select_lab "$1"
  if [[ -e $group ]]; then
    end_processes
    find "$group" -depth -mindepth 1 -type d -exec rmdir {} +
    rmdir "$group"
  fi
  local namespace unit
  if [[ -e $directory/units ]]; then
    while read -r unit; do rmdir "$slice/$unit" 2>/dev/null || true; done <"$directory/units"
    alone rmdir "$slice" 2>/dev/null || true
  fi
  local containers=()
  [[ ! -e $directory/containers ]] || mapfile -t containers <"$directory/containers"
  for namespace in "${containers[@]}" "$host" "$cloud"; do
    [[ ! -e /run/netns/$namespace ]] || ip netns del "$namespace"
  done
  rm -rf --one-file-system "$directory" "$state" "$programs"
  alone rmdir --ignore-fail-on-non-empty /run/imdsgate-lab /var/lib/imdsgate-lab /opt/imdsgate-lab 2>/dev/null || true
}

run() {
  local options=()
  if [[ ${1-} == --serve ]]; then
    read -ra options <<<"$2"
    shift 2
  fi
  [[ ${1-} == -- ]] && shift
  (($#)) || die "run: no command"
  local name=run-$$ status=0
  trap 'down "$name"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  up "$name" >/dev/null
  serve "${options[@]}" >/dev/null
  # In the background, so that a signal is handled at once; with the terminal's signals as a command expects them.
  (LAB=$name LAB_DIRECTORY=$directory enter -- env --default-signal=INT,QUIT "$@") <&0 &
  wait $! || status=$?
  exit "$status"
}

((EUID == 0)) || die "namespaces need root"
command=${1-}
shift || true
case $command in
  up) up "${1-}" ;;
  down) down "${1-}" ;;
  serve | exec | daemon | bridge | container)
    select_lab "${1-}"
    shift
    case $command in
      serve) serve "$@" ;;
      exec) enter "$@" ;;
      daemon) start_daemon "$@" ;;
      bridge) make_bridge "$@" ;;
      container) make_container "$@" ;;
    esac
    ;;
  run) run "$@" ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
    ;;
esac
