#!/usr/bin/python3
"""cloud-init's own Azure data source, from an unpacked package: cloud_init_azure.py TREE; prints what it learned."""

import json
import os
import sys
import tempfile
import types

sys.path.insert(0, os.path.join(sys.argv[1], "usr/lib/python3/dist-packages"))

from cloudinit import distros, helpers, util  # noqa: E402
from cloudinit.sources import DataSourceAzure as source  # noqa: E402

# What this machine's firmware and network would answer otherwise than Azure's do: the chassis' tag, and the lease.
source.dmi.read_dmi_data = {"chassis-asset-tag": "7783-7084-3265-9085-8269-3286-77",
                            "system-uuid": "02aab8a4-74ef-476e-8182-f6d2ba4166a6"}.get


def with_a_lease(self, **_):
    self._ephemeral_dhcp_ctx = types.SimpleNamespace(lease={"interface": "eth0"}, clean_network=lambda: None)


source.DataSourceAzure._setup_ephemeral_networking = with_a_lease

with tempfile.TemporaryDirectory() as directory:
    paths = helpers.Paths({"cloud_dir": directory, "run_dir": directory})
    distro = distros.fetch("debian")("debian", {}, paths)
    found = source.DataSourceAzure({"datasource": {"Azure": {"data_dir": os.path.join(directory, "agent")}}}, distro, paths)
    # The provisioning disc's one file.
    os.makedirs(found.seed_dir)
    util.write_file(os.path.join(found.seed_dir, "ovf-env.xml"),
                    source.build_minimal_ovf(username="demo", hostname="demo", disableSshPwd="true"))
    if not found._get_data():
        sys.exit("cloud-init found no Azure data source")
    print(json.dumps({"instance_id": found.get_instance_id(), "vm": found.metadata["imds"].get("compute", {}).get("name"),
                      "user_data": (found.userdata_raw or b"").decode() or None, "ready": found._negotiated}))
