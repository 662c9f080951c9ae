"""WireServer behind the gateway, on a host with the Azure agent's own rules: uid 0 reaches it, and nobody else does."""

from __future__ import annotations

import json
import pathlib
import shutil
import signal
import subprocess

import pytest

from daemon import BINARY, Gateway, field, has, reasons
from lab import CLIENTS

WIRE = "168.63.129.16"
VERSIONS = f"http://{WIRE}/?comp=versions"
CERTIFICATES = f"http://{WIRE}/machine/c6d5/MachineRole_IN_0?comp=certificates&incarnation=1"
ENDPOINTS = [{"address": "169.254.169.254", "port": 80}, {"address": WIRE, "port": 80}, {"address": WIRE, "port": 32526}]
# As waagent puts them in (azurelinuxagent/common/utils/networkutil.py).
AGENTS_RULES = (["-p", "tcp", "--destination-port", "53", "-j", "ACCEPT"], ["-p", "tcp", "-m", "owner", "--uid-owner", "0", "-j", "ACCEPT"],
                ["-p", "tcp", "-m", "conntrack", "--ctstate", "INVALID,NEW", "-j", "DROP"])


def put_in_agents_rules(lab) -> None:
    for rule in AGENTS_RULES:
        done = lab.run("iptables", "-w", "-t", "security", "-A", "OUTPUT", "-d", WIRE, *rule)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def azure(lab):
    lab.serve("--provider", "azure", "--port", "32526")
    return lab


@pytest.fixture
def guarded(azure):
    """guarded(mode, by="service" or "root", **configuration): the gateway, stopped at the end."""
    started: list[Gateway] = []

    def start(mode: str, by: str = "service", **configuration) -> Gateway:
        started.append(Gateway(azure, mode, provider="azure", endpoints=ENDPOINTS, **{"rules": [], **configuration}))
        return started[-1].start_as_service("setuid") if by == "service" else started[-1].start()

    yield start
    for gateway in started:
        print(gateway.log())
        if gateway.process.poll() is None:
            assert gateway.stop() == 0


def dialler_of(gateway: Gateway) -> dict[str, str]:
    """What the kernel says of the daemon's child that has another uid, or is called so."""
    for child in pathlib.Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split():
        if b"dialler" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
            lines = pathlib.Path(f"/proc/{child}/status").read_text().splitlines()
            return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    raise AssertionError("the daemon has no dialler")


def targets(lab) -> list[str]:
    return [line["target"] for line in lab.received() if line["ev"] == "request"]


@pytest.mark.parametrize("by", ["service", "root"])
@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_uid_0_reaches_it_and_nobody_else(azure, guarded, mode, by):
    put_in_agents_rules(azure)
    assert azure.curl(VERSIONS, user=0)[0] == 200 and azure.curl("--max-time", "2", VERSIONS)[0] == 0, "the host without the gateway"
    daemon = guarded(mode, by)
    for url in (VERSIONS, f"http://{WIRE}:32526/?comp=versions"):
        since = len(daemon.events())
        status, body = azure.curl(url, user=0)
        assert status == 200 and "2012-11-30" in body, daemon.events()[since:]
        assert field(daemon.wait_event(has(event__action="metadata_request", user__id="0"), skip=since), "imdsgate.action") == "forward"
        assert azure.curl(url + "&denied")[0] == 403
        denied = daemon.wait_event(has(event__action="metadata_request", user__id="1001"), skip=since)
        assert any(name.startswith("existing: uid all but 0, iptables-nft security/OUTPUT") for name in reasons(denied)), denied
    assert not [target for target in targets(azure) if "denied" in target]
    # A change of the policy keeps it so.
    assert daemon.control("reload").returncode == 0
    assert azure.curl(VERSIONS, user=0)[0] == 200 and azure.curl(VERSIONS)[0] == 403


def test_what_dials_has_uid_0_and_nothing_else(azure, guarded):
    daemon = guarded("enforce")
    helper = dialler_of(daemon)
    assert helper["Uid"].split() == ["0"] * 4
    assert (helper["CapEff"], helper["CapPrm"], helper["CapAmb"]) == (f"{1 << 12:016x}", f"{1 << 12:016x}", f"{0:016x}")  # NET_ADMIN
    assert (helper["NoNewPrivs"], helper["Seccomp"]) == ("1", "2")
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    assert f"CapPrm:\t{1 << 12 | 1 << 10 | 1 << 13:016x}" in status, "the daemon keeps no CAP_SETUID"


def test_without_the_agents_rules_only_root_is_dialled_for_as_root(azure, guarded):
    """They may come later: what others ask for goes by the daemon's own uid, so the kernel drops it from then on."""
    daemon = guarded("audit")
    assert azure.curl(VERSIONS)[0] == 200 and azure.curl(VERSIONS, user=0)[0] == 200
    put_in_agents_rules(azure)
    since = len(azure.received())
    assert azure.curl(VERSIONS, user=0)[0] == 200
    assert azure.curl(VERSIONS + "&late")[0] in (403, 504)
    assert not [line for line in azure.received()[since:] if "late" in line.get("target", "")]
    # The look for drift finds them.
    changed = daemon.wait_event(has(event__action="existing_changed"), timeout=120)
    assert "uid all but 0" in field(changed, "imdsgate.existing")
    assert azure.curl(VERSIONS, user=0)[0] == 200 and azure.curl(VERSIONS)[0] == 403


def test_certificates_want_a_grant_in_enforce(azure, guarded, waagent):
    """The agent, unmodified, with its profile and in its unit; root elsewhere gets everything but what is secret."""
    put_in_agents_rules(azure)
    daemon = guarded("enforce", profiles=["waagent"])
    client = ["/usr/bin/python3", CLIENTS / "waagent_goal_state.py", waagent]
    done = azure.run(*client, user=0, unit="walinuxagent.service", timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"instance": "MachineRole_IN_0", "vm": "MachineRole_IN_0", "certificates": True}
    secret = daemon.wait_event(has(event__kind="event", imdsgate__path_class="credentials"))
    assert field(secret, "imdsgate.grant") == "waagent/wireserver" and field(secret, "imdsgate.action") == "forward"
    assert not [event for event in daemon.events() if field(event, "event.kind") == "alert"]
    asked = len([target for target in targets(azure) if "certificates" in target])
    since = len(daemon.events())
    assert azure.run(*client, user=0, timeout=120).returncode != 0
    blocked = daemon.wait_event(has(event__kind="event", imdsgate__path_class="credentials", imdsgate__action="block"), skip=since)
    assert "class_default" in reasons(blocked)
    assert azure.curl(CERTIFICATES, user=0)[0] == 403
    assert len([target for target in targets(azure) if "certificates" in target]) == asked


def test_it_says_what_is_missing(azure):
    daemon = Gateway(azure, "audit", provider="azure", endpoints=ENDPOINTS)
    assert daemon.start_as_service(ready=False).process.wait(20) == 1
    assert "CAP_SETUID is missing: needed for dialling WireServer as uid 0" in daemon.log()


def test_a_reload_cannot_begin_to_guard_it(azure, gateway):
    daemon = gateway("audit", lab=azure, provider="azure")
    daemon.write(endpoints=ENDPOINTS)
    done = daemon.control("reload")
    assert done.returncode == 1 and "WireServer" in done.stdout + done.stderr, done
    assert "168.63.129.16" not in azure.rules()


def test_without_its_dialler_the_daemon_ends(azure, guarded):
    daemon = guarded("audit")
    subprocess.run(["kill", "-KILL", dialler_of(daemon)["Pid"]], check=True)
    assert daemon.process.wait(20) == 1
    assert field(daemon.wait_event(has(event__action="dialler_gone")), "event.kind") == "alert"


def test_a_connection_of_uid_0_that_comes_back_is_told(azure, guarded):
    assert azure.run("iptables", "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--restore-mark").returncode == 0
    daemon = guarded("audit", existing="ignore")
    azure.curl("--max-time", "5", VERSIONS, user=0)
    daemon.wait_event(has(event__action="self_loop"))
    assert azure.curl(VERSIONS, user=0)[0] == 200, "audit took the redirect out"


@pytest.mark.parametrize("existing", ["refuse", "ignore"])
def test_not_beside_azures_guest_proxy(azure, existing):
    stand_in = azure.programs / "azure-proxy-agent"
    shutil.copy("/bin/sleep", stand_in)
    daemon = Gateway(azure, "audit", provider="azure", existing=existing)
    with subprocess.Popen(azure.command([stand_in, "600"])) as proxy:
        try:
            while pathlib.Path(f"/proc/{proxy.pid}/comm").read_text() != "azure-proxy-age\n":
                assert proxy.poll() is None
            for command in (("run",), ("intercept", "install")):
                done = daemon.control(*command, timeout=20)
                assert done.returncode == 1 and f"azure_guest_proxy: Azure's guest proxy runs (process {proxy.pid} " in done.stderr, done
            assert "IMDSGATE" not in azure.rules()
        finally:
            proxy.send_signal(signal.SIGKILL)
