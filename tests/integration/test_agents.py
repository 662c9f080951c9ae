"""Agents' own programs from unpacked packages, in enforce, each with its profile: it gets what it asks for without an alert."""

from __future__ import annotations

import shutil

import yaml

from daemon import field, has
from lab import CLIENTS, REPOSITORY

USER = "demo_example_com"
EVERYTHING = {"general": "block", "trust": "block", "userdata": "block"}
PATIENCE = 60


def quiet(gateway, since: int = 0) -> bool:
    return not [each for each in gateway.events()[since:] if field(each, "event.kind") == "alert"]


def refused(gateway, command: list, **options):
    since, events = len(gateway.lab.received()), len(gateway.events())
    done = gateway.lab.run(*command, timeout=PATIENCE, **options)
    assert gateway.wait_event(has(imdsgate__action="block"), skip=events)
    assert not [line for line in gateway.lab.received()[since:] if line["ev"] == "request" and "api/token" not in line["target"]]
    return done


def test_ec2_net_utils(shared_gateway, agents):
    """Its unit learns the interface's number, name and addresses; the same functions elsewhere do not."""
    gateway = shared_gateway("enforce", profiles=["amazon-ec2-net-utils"], classes={"general": "block"})
    lab = gateway.lab
    command = ["bash", CLIENTS / "ec2_net_utils.sh", agents("amazon-ec2-net-utils"), "0a:ff:d5:00:00:2a", lab.home / "networkd"]
    done = lab.run(*command, user=0, unit="policy-routes@eth0.service", timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "From=10.66.0.2" in done.stdout and "altname eni-0123456789abcdef0" in done.stdout
    event = gateway.wait_event(has(imdsgate__grant="amazon-ec2-net-utils/addresses"))
    assert field(event, "process.executable") == "/usr/bin/curl"
    assert quiet(gateway)
    for where in {"user": 0}, {"user": 0, "unit": "imdsgate-lab-other.service"}:
        assert refused(gateway, [*command[:-1], lab.home / "elsewhere"], **where).returncode != 0


def test_oslogin(shared_gateway, agents):
    """Any user's process may ask who may log in here, by sshd's command and by a look-up in NSS, and nothing else."""
    gateway = shared_gateway("enforce", service="--provider gce", provider="gce", profiles=["google-oslogin"], classes=EVERYTHING)
    lab = gateway.lab
    tree = agents("google-compute-engine-oslogin")
    keys = shutil.copy(tree / "usr/bin/google_authorized_keys", lab.programs)
    module, = tree.glob("usr/lib/*/libnss_oslogin-*.so")
    shutil.copy(module, lab.programs / "libnss_oslogin.so.2")
    getent = ["/usr/bin/getent", "-s", "passwd:oslogin", "passwd", USER]
    for user in 0, 1001:
        done = lab.run(keys, USER, user=user, timeout=PATIENCE)
        assert done.stdout == "ssh-rsa AAAAB3NzaC1yc2EAAAADEXAMPLE demo\n", done
        done = lab.run(*getent, user=user, env={"LD_LIBRARY_PATH": str(lab.programs)}, timeout=PATIENCE)
        assert done.stdout.startswith(f"{USER}:*:1500:1500:"), done
    assert lab.run(keys, "nobody_example_com", user=1001, timeout=PATIENCE).stdout == ""
    assert quiet(gateway)
    for path in "oslogin/authenticate/sessions", "project/attributes/ssh-keys", "oslogin/?recursive=true":
        refused(gateway, ["curl", "-sS", "-g", "-H", "Metadata-Flavor: Google", f"http://169.254.169.254/computeMetadata/v1/{path}"], user=1001)
    gateway.write(profiles=[])
    assert gateway.control("reload").returncode == 0
    assert refused(gateway, [keys, USER], user=1001).stdout == ""


def test_googles_script_runner(shared_gateway, agents):
    """Its entry in google-guest-agent, for the path that it is unpacked to: it reads and runs the startup script."""
    gateway = shared_gateway("enforce", service="--provider gce", provider="gce", classes=EVERYTHING)
    runner = shutil.copy(agents("google-guest-agent") / "usr/bin/google_metadata_script_runner", gateway.lab.programs)
    profile = (REPOSITORY / "config/profiles/google-guest-agent.yaml").read_text()
    gateway.write(allow=yaml.safe_load(profile.replace("/usr/bin/google_metadata_script_runner", str(runner)))["allow"])
    assert gateway.control("reload").returncode == 0
    command = ["env", f"TMPDIR={gateway.lab.home}", runner, "startup"]
    # First whoever has no grant, which asks again and again: of the one that has, a request may still come when it has ended.
    assert "hello" not in refused(gateway, ["timeout", "5", *command], user=1001).stdout
    done = gateway.lab.run(*command, user=0, timeout=PATIENCE)
    assert "hello" in done.stdout + done.stderr, done
    gateway.wait_event(has(imdsgate__path_class="userdata", imdsgate__action="forward", user__id="0"))
    assert not [each for each in gateway.events() if has(event__kind="alert", user__id="0")(each)]
