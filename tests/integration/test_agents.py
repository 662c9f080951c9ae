"""Agents' own programs from unpacked packages, in enforce, each with its profile: it gets what it asks for without an alert."""

from __future__ import annotations

import shutil

from daemon import field, has
from lab import CLIENTS

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
    """Its unit learns the interface's number, name and addresses; the same functions elsewhere, or as another user, do not."""
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
