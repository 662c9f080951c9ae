#!/bin/bash
# amazon-ec2-net-utils' own functions, from an unpacked package: ec2_net_utils.sh TREE ETHER DIRECTORY. It sets eth0 up as
# setup-policy-routes does: aliases go to the lab's interface, the files that networkd would read to DIRECTORY.
set -e -o pipefail

ether=$2 unitdir=$3
# No syslog listens in the lab, and the functions end when they cannot log.
logger() { :; }
. "$1/usr/share/amazon-ec2-net-utils/lib.sh"

setup_interface eth0 "$ether" >&2
create_rules eth0 1 4 >&2 # as for a second interface
cat "$unitdir"/70-eth0.network.d/*.conf
ip link show dev eth0
