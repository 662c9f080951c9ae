"""SDKs and tools, unmodified, in enforce: served with an entry or a profile, and denied without one. A denied client ends
by itself, and no other way leads it to what it was denied."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from daemon import field, has
from lab import CLIENTS, REPOSITORY

NODE_CLIENTS = pathlib.Path(os.environ.get("IMDSGATE_CACHE", REPOSITORY / "build" / "cache")) / "node"
PYTHON = os.path.realpath("/usr/bin/python3")
NODE = os.path.realpath(shutil.which("node") or "/usr/bin/node")
AWS_PATHS = ["/latest/api/token", "/latest/meta-data/iam/security-credentials", "/latest/meta-data/iam/security-credentials/*",
             "/latest/meta-data/placement/availability-zone", "/latest/meta-data/instance-id"]
GCE_PATHS = ["/", "/computeMetadata/v1/instance", "/computeMetadata/v1/instance/service-accounts/**", "/computeMetadata/v1/project/project-id"]
GCE_HOST = {"GCE_METADATA_HOST": "169.254.169.254", "GCE_METADATA_ROOT": "169.254.169.254", "GCE_METADATA_IP": "169.254.169.254"}
PATIENCE = 60  # no client waits so long for a service that answers at once
ALLOWED, OTHER = 1002, 1001


def entry(paths: list, **more) -> dict:
    return {"name": f"sdks-{len(paths)}", "when": f'process.executable in ("{PYTHON}", "{NODE}", "/usr/bin/s3fs") and user.id == "{ALLOWED}"',
            "paths": paths, **more}


@pytest.fixture(scope="module")
def ec2(shared_gateway):
    return shared_gateway("enforce", allow=[entry(AWS_PATHS)])


@pytest.fixture(scope="module")
def gce(shared_gateway):
    return shared_gateway("enforce", service="--provider gce", provider="gce", allow=[entry(GCE_PATHS, methods=["GET"])])


@pytest.fixture(scope="module")
def azure(shared_gateway):
    vault = {"api-version": "2018-02-01", "resource": ["https://vault.azure.net", "https://vault.azure.net/"]}
    return shared_gateway("enforce", service="--provider azure", provider="azure",
                          allow=[entry(["/metadata/identity/oauth2/token"], methods=["GET"], query=vault)])


@pytest.fixture(scope="module")
def node():
    """The clients beside their packages from npm, as a copy: modules are looked for above a program's own directory, and a
    checkout may lie where only root may enter."""
    if not (NODE_CLIENTS / "node_modules").is_dir():
        pytest.skip(f"{NODE_CLIENTS} has no npm packages: scripts/deps.sh could not reach npm's registry, or was not run")
    with tempfile.TemporaryDirectory(prefix="imdsgate-node-", dir="/opt") as copy:
        os.chmod(copy, 0o755)
        for programs in NODE_CLIENTS, CLIENTS / "node":
            shutil.copytree(programs, copy, symlinks=True, dirs_exist_ok=True)
        yield lambda name, *arguments: [NODE, f"{copy}/{name}.js", *arguments]


def python(name: str, *arguments) -> list:
    return ["/usr/bin/python3", CLIENTS / f"{name}.py", *arguments]


def asked(gateway, since: int) -> list[str]:
    return [line["target"] for line in gateway.lab.received()[since:] if line["ev"] == "request"]


def secret(target: str) -> bool:
    return "security-credentials/demo" in target or "/token" in target and "api/token" not in target


def served(gateway, command: list, env: dict = {}) -> subprocess.CompletedProcess:
    since = len(gateway.lab.received())
    done = gateway.lab.run(*command, user=ALLOWED, env=env, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert [target for target in asked(gateway, since) if secret(target)]
    return done


def denied(gateway, command: list, env: dict = {}, user: int = OTHER) -> subprocess.CompletedProcess:
    """It fails by itself, and the service never sees it ask for a secret."""
    since, events = len(gateway.lab.received()), len(gateway.events())
    done = gateway.lab.run(*command, user=user, env=env, timeout=PATIENCE)
    assert not [target for target in asked(gateway, since) if secret(target)]
    assert gateway.wait_event(has(imdsgate__action="block"), skip=events)
    return done


def test_boto3(ec2):
    assert json.loads(served(ec2, python("boto3_credentials")).stdout)["method"] == "iam-role"
    assert "found no credentials" in denied(ec2, python("boto3_credentials")).stderr


def test_the_aws_cli(ec2):
    assert "iam-role" in served(ec2, ["/usr/bin/aws", "configure", "list"]).stdout
    assert "iam-role" not in denied(ec2, ["/usr/bin/aws", "configure", "list"]).stdout


def test_s3fs(ec2):
    """It asks for the list of roles without a token, which is no credential, and denied the role's it mounts nothing."""
    target = ec2.lab.home / "bucket"
    target.mkdir(exist_ok=True)
    done = denied(ec2, ["/usr/bin/s3fs", "bucket", target, "-f", "-o", "iam_role=auto,url=http://10.66.0.1"], user=0)
    assert "IAM role name" in done.stdout and "[CRT]" in done.stdout


def test_the_javascript_sdk(ec2, node):
    assert json.loads(served(ec2, node("aws_credentials")).stdout)["access_key"].startswith("ASIA")
    assert denied(ec2, node("aws_credentials")).returncode != 0


def test_the_javascript_metadata_service(ec2, node):
    role = "/latest/meta-data/iam/security-credentials/demo-role"
    assert "AccessKeyId" in served(ec2, node("aws_metadata", role)).stdout
    assert denied(ec2, node("aws_metadata", role)).returncode != 0


def test_google_auth(gce):
    assert json.loads(served(gce, python("google_auth_token"), env=GCE_HOST).stdout)["has_token"]
    assert denied(gce, python("google_auth_token"), env=GCE_HOST).returncode != 0


def test_gcp_metadata(gce, node):
    assert json.loads(served(gce, node("gcp_token"), env=GCE_HOST).stdout)["type"] == "Bearer"
    assert denied(gce, node("gcp_token"), env=GCE_HOST).returncode != 0


def test_azure_identity_for_one_resource(azure, node):
    vault, management = "https://vault.azure.net/.default", "https://management.azure.com/.default"
    assert json.loads(served(azure, node("azure_token", vault)).stdout)["expires"]
    assert denied(azure, node("azure_token", management), user=ALLOWED).returncode != 0  # its entry is for the vault
    assert denied(azure, node("azure_token", vault)).returncode != 0


def test_a_profile_is_for_its_unit(shared_gateway):
    gateway = shared_gateway("enforce", profiles=[{"name": "aws-sdk", "unit": "imdsgate-lab-app.service"}])
    command = python("boto3_credentials")
    inside = gateway.lab.run(*command, user=OTHER, unit="imdsgate-lab-app.service", timeout=PATIENCE)
    assert json.loads(inside.stdout)["method"] == "iam-role", inside.stderr
    event = gateway.wait_event(has(event__kind="event", imdsgate__path_class="credentials"))
    assert field(event, "imdsgate.grant") == "aws-sdk/instance-role"
    assert not [each for each in gateway.events() if field(each, "event.kind") == "alert"]
    assert "found no credentials" in denied(gateway, command).stderr
    elsewhere = gateway.lab.run(*command, user=OTHER, unit="imdsgate-lab-other.service", timeout=PATIENCE)
    assert "found no credentials" in elsewhere.stderr


@pytest.fixture(scope="module")
def no_tokens(shared_gateway):
    return shared_gateway("enforce", deny=[{"name": "no-tokens", "methods": ["PUT"], "paths": ["/latest/api/token"]}],
                          allow=[entry(AWS_PATHS)])


@pytest.mark.parametrize("user", [OTHER, ALLOWED])
def test_denied_a_token_python_gets_nothing_without_one(no_tokens, user):
    assert "found no credentials" in denied(no_tokens, python("boto3_credentials"), user=user).stderr
    assert "iam-role" not in denied(no_tokens, ["/usr/bin/aws", "configure", "list"], user=user).stdout


@pytest.mark.parametrize("user", [OTHER, ALLOWED])
def test_denied_a_token_node_gets_nothing_without_one(no_tokens, node, user):
    assert denied(no_tokens, node("aws_credentials"), user=user).returncode != 0


def cloud_init_command(tree, source: str) -> list:
    return ["/usr/bin/python3", CLIENTS / f"cloud_init_{source}.py", tree]


def test_cloud_init_with_its_profile(shared_gateway, cloud_init):
    """In its unit it reads the whole tree, the signed documents too, without an alert; the same run elsewhere does not."""
    gateway = shared_gateway("enforce", profiles=["cloud-init"])
    command = cloud_init_command(cloud_init, "ec2")
    done = gateway.lab.run(*command, user=0, unit="cloud-init.service", timeout=PATIENCE)
    assert json.loads(done.stdout)["instance_id"] == "i-0123456789abcdef0", done.stderr
    assert [each for each in gateway.events() if field(each, "imdsgate.path_class") == "identity"]
    assert not [each for each in gateway.events() if field(each, "event.kind") == "alert"]
    since = len(gateway.events())
    gateway.lab.run(*command, user=0, timeout=PATIENCE)
    assert gateway.wait_event(has(event__kind="alert", imdsgate__action="block"), skip=since)


GCE_TREE = {"userdata": "block", "trust": "block", "general": "block"}


def test_cloud_init_on_gce_with_its_profile(shared_gateway, cloud_init):
    gateway = shared_gateway("enforce", service="--provider gce", provider="gce", profiles=["cloud-init"], classes=GCE_TREE)
    command = cloud_init_command(cloud_init, "gce")
    done = gateway.lab.run(*command, user=0, unit="cloud-init.service", timeout=PATIENCE)
    found = json.loads(done.stdout)
    assert found["instance_id"] == "5123456789012345678" and found["public_keys"] == ["demo:ssh-rsa AAAAB3NzaC1yc2EAAAADEXAMPLE demo"], done
    assert "startup-script" in found["instance_data"]
    assert not [each for each in gateway.events() if field(each, "event.kind") == "alert"]
    since, events = len(gateway.lab.received()), len(gateway.events())
    done = gateway.lab.run(*command, user=0, timeout=PATIENCE)
    assert done.returncode == 1 and "found no GCE data source" in done.stderr, done
    assert gateway.wait_event(has(event__kind="alert", imdsgate__action="block"), skip=events)
    assert not asked(gateway, since)


def test_cloud_init_on_azure_with_its_profile(shared_gateway, cloud_init):
    """It reads the instance, fetches WireServer's goal state and tells that it is ready."""
    wireserver = [{"address": "168.63.129.16", "port": port} for port in (80, 32526)]
    gateway = shared_gateway("enforce", service="--provider azure --port 32526", provider="azure", profiles=["cloud-init"],
                             endpoints=[{"address": "169.254.169.254", "port": 80}, *wireserver],
                             classes={"general": "block", "userdata": "block", "writable": "block"})
    command = cloud_init_command(cloud_init, "azure")
    done = gateway.lab.run(*command, user=0, unit="cloud-init.service", timeout=PATIENCE)
    found = json.loads(done.stdout)
    assert found == {"instance_id": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "vm": "demo", "user_data": "#!/bin/sh\necho hello\n",
                     "ready": True}, done
    assert "/machine?comp=health" in asked(gateway, 0)
    assert not [each for each in gateway.events() if field(each, "event.kind") == "alert"]
    # Denied WireServer (by the rule, too) it would try for 20 minutes, which is its patience; the instance's data it does without.
    gateway.write(classes={"userdata": "block"}, rules=[])
    assert gateway.control("reload").returncode == 0
    since, events = len(gateway.lab.received()), len(gateway.events())
    done = gateway.lab.run(*command, user=0, timeout=PATIENCE)
    assert json.loads(done.stdout)["vm"] is None, done
    assert gateway.wait_event(has(event__kind="alert", imdsgate__action="block"), skip=events)
    assert not [target for target in asked(gateway, since) if target.startswith("/metadata/instance")]
