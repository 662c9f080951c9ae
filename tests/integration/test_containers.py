"""Clients in other network namespaces, behind a bridge: named, refused unless a grant names their container, and nobody else's."""

from __future__ import annotations

import itertools
import pathlib
import signal
import subprocess
import textwrap

import pytest

from daemon import Gateway, field, has, reasons

HEX = {name: (digits * 32)[:64] for name, digits in (("granted", "a1"), ("other", "b2"), ("host", "c3"))}
UNIT = {name: f"docker-{number}.scope" for name, number in HEX.items()}
IMDS = "http://169.254.169.254"
ID, ROLE = "/latest/meta-data/instance-id", "/latest/meta-data/iam/security-credentials/demo-role"
numbers = itertools.count(1)
GRANT = {"name": "granted", "when": f'container.id == "{HEX["granted"]}"', "imdsv1": "allow"}
RULE = "id: in-a-container\nname: a container asks\naction: alert\nquery: web where container.id != null\n"


def behind_bridges(lab) -> None:
    lab.bridge("br0", 77)
    lab.bridge("br1", 78)  # another of the host's, which nobody names
    lab.container("a", "br0", 77, 2)
    lab.container("b", "br1", 78, 2)
    (lab.directory / "rule.yaml").write_text(RULE)


@pytest.fixture(scope="module")
def start(shared_gateway):
    def start(mode: str, before=behind_bridges, **more) -> Gateway:
        containers = more.pop("containers", {"bridges": ["br0"]})
        return shared_gateway(mode, before=before, containers=containers, **{"rules": ["rule.yaml"], "attribution": "bpf", **more})
    return start


@pytest.fixture(scope="module")
def enforce(start):
    return start("enforce", allow=[GRANT, {"name": "everyone", "when": 'user.id == "1001" and imdsgate.unit != null'}])


@pytest.fixture(scope="module")
def audit(start):
    return start("audit", containers={"bridges": ["br0"], "hop_limit": 1}, allow=[GRANT])


def ask(gateway, name: str, url: str = IMDS + ID, *options: str, container: str | None = "a") -> tuple[int, str]:
    """Status and body of one curl in that container's cgroup, and in the network namespace `container`."""
    return gateway.lab.curl(url, *options, container=container, unit=UNIT[name])


def told(gateway, *arguments, url: str = IMDS + ID, **options) -> tuple[int, dict]:
    """Status and event of one that no other request is mistaken for."""
    query = f"ask={next(numbers)}"
    name, *more = arguments
    status, _ = ask(gateway, name, f"{url}?{query}", *more, **options)
    return status, gateway.wait_event(has(event__kind="event", url__query=query))


@pytest.mark.parametrize("client", [["curl", "-s"], ["wget", "-qO-", "-T20", "-t1"], ["/usr/bin/python3", "-c", textwrap.dedent("""\
    import sys, urllib.request
    urllib.request.urlopen(sys.argv[1], timeout=20)""")]], ids=lambda client: pathlib.Path(client[0]).name)
def test_who_asks_is_named_and_refused(enforce, client):
    since = len(enforce.events())
    done = enforce.lab.run(*client, IMDS + ID, user=1001, container="a", unit=UNIT["other"])
    assert "i-" not in done.stdout
    event = enforce.wait_event(has(event__kind="event", url__path=ID), skip=since)
    assert field(event, "process.name") == pathlib.Path(client[0]).name.replace("python3", field(event, "process.name"))
    assert field(event, "process.args")[:1] == client[:1]
    assert {name: field(event, name) for name in (
        "container.id", "imdsgate.proven.container", "imdsgate.attribution.method", "user.id", "source.ip", "http.response.status_code",
        "observer.ingress.interface.name", "imdsgate.action")} == {
        "container.id": HEX["other"], "imdsgate.proven.container": True, "imdsgate.attribution.method": "bpf", "user.id": "1001",
        "source.ip": "10.77.0.2", "http.response.status_code": 403, "observer.ingress.interface.name": "br0", "imdsgate.action": "block"}
    assert {"container_not_granted", "in-a-container"} <= reasons(event)


@pytest.mark.parametrize("url", [IMDS + ID, "http://[fd00:ec2::254]" + ID])
def test_whom_a_grant_names_by_his_container(enforce, url):
    status, event = told(enforce, "granted", url=url)
    assert status == 200
    assert field(event, "container.id") == HEX["granted"] and field(event, "imdsgate.verdict") == "allow"
    assert ask(enforce, "other", url)[0] == 403


def test_token_and_credentials_for_whom_it_names(enforce):
    status, token = ask(enforce, "granted", IMDS + "/latest/api/token", "-XPUT", "-HX-aws-ec2-metadata-token-ttl-seconds: 60")
    assert status == 200
    assert ask(enforce, "granted", IMDS + ROLE, f"-HX-aws-ec2-metadata-token: {token}")[0] == 200
    assert ask(enforce, "other", IMDS + ROLE, f"-HX-aws-ec2-metadata-token: {token}")[0] == 403


def test_audit_forwards_whom_it_names_and_tells(audit):
    status, event = told(audit, "other")
    assert status == 200
    assert field(event, "container.id") == HEX["other"] and "container_not_granted" in reasons(event)
    assert field(event, "imdsgate.verdict") == "block" and field(event, "imdsgate.action") == "forward"
    audit.wait_event(has(event__kind="alert", container__id=HEX["other"], imdsgate__reason="container_not_granted"))


def test_hop_limit(audit):
    """What EC2 does where it is 1: no session token comes that far. Requests without one do."""
    token = ("-XPUT", "-HX-aws-ec2-metadata-token-ttl-seconds: 60")
    _, event = told(audit, "granted", *token, url=IMDS + "/latest/api/token")
    assert reasons(event) == {"hop_limit", "granted"}
    _, event = told(audit, "granted")
    assert reasons(event) == {"granted"}
    _, event = told(audit, "host", *token, url=IMDS + "/latest/api/token", container=None)
    assert "hop_limit" not in reasons(event)


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_who_cannot_be_named_is_refused(start, mode):
    """Without BPF nobody there is, and no setting lets him in."""
    gateway = start(mode, attribution="sock_diag", unattributed="allow", allow=[GRANT])
    status, event = told(gateway, "granted")
    assert status == 403
    assert field(event, "imdsgate.attribution.reason") == "other_namespace"
    assert field(event, "imdsgate.action") == "block" and "unattributed" in reasons(event)
    assert field(event, "process.pid") is None
    assert gateway.lab.curl(IMDS + ID)[0] == 200  # the host's own are as ever


def test_everyone_who_holds_the_socket(enforce):
    """The connector's child has it, too: another program, before the gateway accepts."""
    script = textwrap.dedent("""\
        exec 9<>/dev/tcp/169.254.169.254/80
        coproc P { exec /usr/bin/python3 -c 'print(flush=True); import time; time.sleep(30)'; }
        read -u "${P[0]}" _; echo go; read _
        printf 'GET %s HTTP/1.0\\r\\nHost: 169.254.169.254\\r\\n\\r\\n' "$0" >&9; read -r line <&9; echo "$line"; kill "$P_PID\"""")
    path = f"{ID}?ask={next(numbers)}"
    enforce.process.send_signal(signal.SIGSTOP)
    try:
        client = subprocess.Popen(enforce.lab.command(["bash", "-c", script, path], 1001, unit=UNIT["granted"], container="a"),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert client.stdout.readline() == "go\n"
    finally:
        enforce.process.send_signal(signal.SIGCONT)
    answer, _ = client.communicate("now\n", timeout=30)
    event = enforce.wait_event(has(event__kind="event", url__original=path))
    assert " 200 " in answer, (field(event, "imdsgate.attribution"), field(event, "error"))
    assert {"bash", "python3.11"} == {holder["name"] for holder in field(event, "imdsgate.attribution.holders")}
    assert field(event, "container.id") == HEX["granted"] and field(event, "imdsgate.attribution.method") == "sock_diag"


@pytest.mark.parametrize("container, address", [("a", "10.77.0.1"), ("a", "fd77::1"), ("b", "10.77.0.1"), ("b", "10.78.0.1")])
def test_the_listener_dialled_directly(enforce, container, address):
    since = len(enforce.events())
    host = f"[{address}]" if ":" in address else address
    assert ask(enforce, "granted", f"http://{host}:880{ID}", container=container)[0] == 0
    refusal = enforce.wait_event(lambda event: reasons(event) & {"not_redirected", "not_local"}, skip=since)
    assert field(refusal, "observer.ingress.interface.name") == ("br0" if address != "10.78.0.1" else None)


def test_a_neighbour_is_served_nothing(enforce):
    """Whoever is in front of the uplink, and dials the bridge's address through it."""
    for address in ("10.66.0.2", "10.77.0.1"):
        since = len(enforce.events())
        with pytest.raises(ConnectionError), enforce.lab.connect(address, 880, cloud=True) as neighbour:
            neighbour.sendall(b"GET / HTTP/1.0\r\n\r\n")
            neighbour.recv(1)
        enforce.wait_event(lambda event: reasons(event) & {"not_redirected", "not_local"}, skip=since)


@pytest.fixture
def routed(gateway):
    """Whoever is in front of the uplink has its route to the service through this host."""
    def before(lab):
        behind_bridges(lab)
        lab.run("ip", "address", "del", "169.254.169.254/32", "dev", "cloud0", cloud=True)
        assert lab.run("ip", "route", "add", "169.254.169.254", "via", "10.66.0.2", cloud=True).returncode == 0
    return lambda mode: gateway(mode, before=before, containers={"bridges": ["br0"]}, attribution="bpf")


def forwarded(lab) -> int:
    head, values = (line.split() for line in lab.run("cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Ip: "))
    return int(values[head.index("ForwDatagrams")])


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_a_neighbour_that_routes_the_service_through_this_host(routed, mode):
    daemon = routed(mode)
    before, since = forwarded(daemon.lab), len(daemon.events())
    with pytest.raises(OSError):
        daemon.lab.connect(cloud=True, timeout=3).close()
    assert forwarded(daemon.lab) > before  # it came here, and went on like anybody's
    told(daemon, "other")  # the gateway has looked at whatever came before that
    assert {field(event, "source.ip") for event in daemon.events()[since:]} == {"10.77.0.2"}


def test_other_bridges_are_not_intercepted(audit):
    assert ask(audit, "granted", IMDS + ID + "?past", container="b")[0] == 200  # by the service itself
    told(audit, "granted")
    assert "past" not in {field(event, "url.query") for event in audit.events()}


def test_a_container_on_the_hosts_network(enforce):
    status, event = told(enforce, "host", container=None)
    assert status == 200
    assert field(event, "container.id") == HEX["host"] and "everyone" in reasons(event)
    assert field(event, "observer.ingress.interface.name") is None


def test_what_is_no_bridge_of_ones_own(lab):
    behind_bridges(lab)
    for name, said in (("eth0", "containers.bridges: eth0 is an uplink"), ("lo", "containers.bridges: lo is not a bridge")):
        gateway = Gateway(lab, "enforce", name=name, containers={"bridges": ["br0", name]}).start(ready=False)
        assert gateway.process.wait(20) == 1
        assert said in gateway.log()
        assert "IMDSGATE" not in lab.rules()


def test_rules_that_come_and_go(start):
    gateway = start("enforce", allow=[GRANT])
    rules = gateway.lab.rules()
    for chain in ("-A PREROUTING -p tcp -j IMDSGATE-BRIDGES", "-A FORWARD -p tcp -j IMDSGATE-BRIDGE-FENCE"):
        assert chain in rules
    assert "-i br1" not in rules and "-i eth0" not in rules
    assert gateway.control("intercept", "status").returncode == 0
    gateway.write(containers=None)
    assert gateway.control("reload").returncode == 0
    assert "BRIDGE" not in gateway.lab.rules()
    gateway.write(containers={"bridges": ["br0", "later"]})
    assert gateway.control("reload").returncode == 0
    assert ask(gateway, "granted")[0] == 200
    assert gateway.stop() == 0
    assert ask(gateway, "granted")[0] == 0  # the fence stays, for those behind bridges, too
    assert gateway.control("intercept", "remove").returncode == 0
    assert "IMDSGATE" not in gateway.lab.rules()
    assert ask(gateway, "granted")[0] == 200


@pytest.fixture(scope="module")
def images(start):
    return start("enforce", allow=[
        {"name": "fetch", "when": f'container.id == "{HEX["granted"]}" and process.executable == "/opt/fetch"', "imdsv1": "allow"},
        {"name": "anywhere", "when": 'process.executable == "/opt/fetch" and user.id == "1001"', "imdsv1": "allow"}])


# A mount namespace with a root of its own, as a runtime makes it, in which curl is at another path.
IMAGE = textwrap.dedent("""\
    set -e
    mount -t tmpfs -o mode=755 tmpfs /mnt && cd /mnt && mkdir opt old tmp
    for each in usr lib lib64 bin etc proc dev; do mkdir $each && mount --rbind /$each $each; done
    cp /usr/bin/curl opt/fetch
    pivot_root . old && umount -l /old && cd /
    exec setpriv --reuid 1001 --regid 1001 --clear-groups "$@"
    """)


def fetch(gateway, name: str, *by: str, executable: str = "/opt/fetch", container: str | None = "a") -> dict:
    """The event of a request for the role's credentials by the image's program, or by the one that is started before it."""
    path = f"{ROLE}?ask={next(numbers)}"
    command = (*by, executable, "-s", "--max-time", "20", IMDS + path)
    done = gateway.lab.run("unshare", "--mount", "bash", "-c", IMAGE, "image", *command, container=container, unit=UNIT[name])
    assert done.returncode == 0, done.stderr
    return gateway.wait_event(has(event__kind="event", url__original=path))


def test_an_image_of_the_initial_user_namespace_is_proven(images):
    event = fetch(images, "granted")
    assert field(event, "process.executable") == "/opt/fetch"
    assert field(event, "imdsgate.proven") == {**field(event, "imdsgate.proven"), "executable": False, "executable_in_container": True}
    assert reasons(event) == {"fetch"} and field(event, "http.response.status_code") == 200


@pytest.mark.parametrize("container", ["a", None], ids=["over-a-bridge", "on-the-hosts-network"])
def test_an_image_is_proven_to_a_grant_that_names_the_container_alone(images, container):
    event = fetch(images, "other", container=container)
    assert field(event, "imdsgate.proven.executable_in_container") is True
    assert field(event, "http.response.status_code") == 403 and not reasons(event) & {"fetch", "anywhere"}


@pytest.mark.parametrize("by", [
    ("unshare", "-Urm", "sh", "-c", 'mount --bind /usr/bin/curl /opt/fetch; exec "$@"', "sh"),
    ("unshare", "-Urm", "sh", "-c", 'mount -t tmpfs tmpfs /opt; cp /usr/bin/curl /opt/fetch; exec "$@"', "sh"),
    ("unshare", "-Urm", "setpriv", "--no-new-privs")], ids=["bind-mount", "file-system", "namespace"])
def test_who_sees_files_of_his_own_is_not(images, by):
    event = fetch(images, "granted", *by)
    assert field(event, "process.executable") == "/opt/fetch" and field(event, "container.id") == HEX["granted"]
    assert field(event, "imdsgate.proven.executable_in_container") is None
    assert field(event, "http.response.status_code") == 403 and "fetch" not in reasons(event)


def twins(lab) -> None:
    """Two namespaces at 10.77.0.2, each behind its bridge."""
    behind_bridges(lab)
    lab.container("c", "br1", 78, 3, "10.77.0.2")
    lab.run("ip", "rule", "add", "from", "10.78.0.1", "lookup", "100")
    lab.run("ip", "route", "add", "10.77.0.2", "via", "10.78.0.3", "table", "100")
    lab.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.br1.rp_filter=0")


@pytest.fixture(scope="module")
def equals(start):
    gateway = start("audit", before=twins, containers={"bridges": ["br0", "br1"]}, endpoints=[
        {"address": address, "port": 80} for address in ("169.254.169.254", "169.254.170.2")])
    (gateway.lab.programs / "twin.py").write_text(TWIN)
    return gateway


TWIN = textwrap.dedent("""\
    import socket, sys
    REPAIR, QUEUE, SEQUENCE, SENT = 19, 20, 21, 2  # linux/tcp.h
    address, port, path, *forged = sys.argv[1:]
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("10.77.0.2", int(port)))
    one.settimeout(20)
    def repaired(call):
        one.setsockopt(socket.IPPROTO_TCP, REPAIR, 1)
        one.setsockopt(socket.IPPROTO_TCP, QUEUE, SENT)
        return call()
    if forged:  # a socket that is connected without a packet, and has the same sequence number
        repaired(lambda: one.setsockopt(socket.IPPROTO_TCP, SEQUENCE, int(forged[0])))
        one.connect((address, 80))
        print("forged", flush=True)
        sys.stdin.readline()
        sys.exit()
    one.connect((address, 80))
    if path.endswith("sequence"):
        print(repaired(lambda: one.getsockopt(socket.IPPROTO_TCP, SEQUENCE)) - 1, flush=True)
        one.setsockopt(socket.IPPROTO_TCP, REPAIR, -1)
    else:
        print("connected", flush=True)
    sys.stdin.readline()
    one.sendall(f"GET {path} HTTP/1.0\\r\\nHost: {address}\\r\\n\\r\\n".encode())
    print(one.recv(12).decode(), flush=True)
    """)


def twin(gateway, container: str, unit: str, *arguments: str, user: int = 1001) -> subprocess.Popen:
    command = gateway.lab.command(["/usr/bin/python3", gateway.lab.programs / "twin.py", *arguments], user, unit=UNIT[unit], container=container)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_equal_addresses_and_ports(equals):
    """Two namespaces behind two bridges, at one address, from one port: each is who it is."""
    clients = [twin(equals, container, unit, address, "5555", f"/latest/meta-data/{unit}")
               for container, address, unit in (("a", "169.254.169.254", "granted"), ("c", "169.254.170.2", "other"))]
    assert [each.stdout.readline() for each in clients] == ["connected\n"] * 2
    for each in clients:
        each.communicate("go\n", timeout=30)
    for unit, bridge in (("granted", "br0"), ("other", "br1")):
        event = equals.wait_event(has(event__kind="event", url__path=f"/latest/meta-data/{unit}"))
        assert (field(event, "source.ip"), field(event, "source.port")) == ("10.77.0.2", 5555)
        assert field(event, "container.id") == HEX[unit]
        assert field(event, "observer.ingress.interface.name") == bridge


@pytest.mark.parametrize("forged", [0, 1], ids=["equal", "different"])
def test_a_socket_that_claims_to_be_anothers(equals, forged):
    """By TCP_REPAIR, with the same addresses, ports and number to count from, before the gateway accepts the other."""
    path = f"/latest/meta-data/{forged}/sequence"
    equals.process.send_signal(signal.SIGSTOP)
    try:
        client = twin(equals, "a", "granted", "169.254.169.254", str(6000 + forged), path, user=0)
        sequence = (int(client.stdout.readline()) + forged) % 2**32
        forger = twin(equals, "c", "other", "169.254.169.254", str(6000 + forged), path, str(sequence - 2**32 * (sequence >= 2**31)), user=0)
        assert forger.stdout.readline() == "forged\n"
    finally:
        equals.process.send_signal(signal.SIGCONT)
    client.communicate("go\n", timeout=30)
    forger.communicate("go\n", timeout=30)
    event = equals.wait_event(has(event__kind="event", url__path=path))
    assert field(event, "container.id") == HEX["granted"]
