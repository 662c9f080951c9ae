#!/usr/bin/python3
"""cloud-init's own GCE data source, from an unpacked package: cloud_init_gce.py TREE; prints what it learned."""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(sys.argv[1], "usr/lib/python3/dist-packages"))

from cloudinit import distros, helpers  # noqa: E402
from cloudinit.sources import DataSourceGCE as source  # noqa: E402

# The one thing that this machine's firmware would answer otherwise than GCE's does.
source.dmi.read_dmi_data = {"system-product-name": "Google Compute Engine"}.get

with tempfile.TemporaryDirectory() as directory:
    paths = helpers.Paths({"cloud_dir": directory, "run_dir": directory})
    distro = distros.fetch("debian")("debian", {}, paths)
    settings = {"metadata_url": "http://169.254.169.254/computeMetadata/v1/"}  # no resolver here knows the name
    found = source.DataSourceGCE({"datasource": {"GCE": settings}}, distro, paths)
    if not found._get_data():
        sys.exit("cloud-init found no GCE data source")
    print(json.dumps({"instance_id": found.get_instance_id(), "region": found.region, "hostname": str(found.get_hostname().hostname),
                      "instance_data": found.metadata["instance-data"], "public_keys": found.metadata["public-keys-data"]}))
