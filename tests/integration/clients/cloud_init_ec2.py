#!/usr/bin/python3
"""cloud-init's own EC2 data source, from an unpacked package: cloud_init_ec2.py TREE; prints what it learned."""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(sys.argv[1], "usr/lib/python3/dist-packages"))

from cloudinit import distros, helpers  # noqa: E402
from cloudinit.sources import DataSourceEc2 as source  # noqa: E402

# The one thing that this machine's firmware would answer otherwise than EC2's does.
source.identify_platform = lambda: source.CloudNames.AWS

with tempfile.TemporaryDirectory() as directory:
    paths = helpers.Paths({"cloud_dir": directory, "run_dir": directory})
    distro = distros.fetch("debian")("debian", {}, paths)
    found = source.DataSourceEc2({"datasource": {"Ec2": {"timeout": 5, "max_wait": 20}}}, distro, paths)
    if not found._get_data():
        sys.exit("cloud-init found no EC2 data source")
    print(json.dumps({"instance_id": found.get_instance_id(), "region": found.region, "user_data": found.userdata_raw.decode(),
                      "public_keys": found.get_public_ssh_keys(), "hostname": str(found.get_hostname().hostname),
                      "document": found.metadata["instance-id"]}))
