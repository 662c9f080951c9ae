#!/usr/bin/python3
"""The Azure Linux agent's own way to its goal state, from an unpacked package: waagent_goal_state.py TREE; prints what it learned."""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(sys.argv[1], "usr/lib/python3/dist-packages"))

import azurelinuxagent.common.conf as conf  # noqa: E402
from azurelinuxagent.common.protocol.wire import WireProtocol  # noqa: E402

with tempfile.TemporaryDirectory() as directory:
    configuration = os.path.join(directory, "waagent.conf")
    with open(configuration, "w", encoding="ascii") as file:
        file.write(f"Lib.Dir={directory}\nExtension.LogDir={directory}\n")
    conf.load_conf_from_file(configuration)
    protocol = WireProtocol("168.63.129.16")
    protocol.detect()  # versions, goal state, the host's plugin, configuration and certificates
    print(json.dumps({"instance": protocol.get_vminfo().roleInstanceName, "vm": protocol.get_vminfo().vmName,
                      "certificates": os.path.exists(os.path.join(directory, "Certificates.xml"))}))
