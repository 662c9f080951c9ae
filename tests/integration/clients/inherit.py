"""What systemd does for a socket unit: opens the listeners, blocking as by default, and hands them over (sd_listen_fds(3)).

inherit.py [--shared] CMD…

--shared: a second socket listens on the IPv4 address as well (SO_REUSEPORT), and stays open.
"""
import os
import socket
import sys

shared = sys.argv[1] == "--shared"
command = sys.argv[2:] if shared else sys.argv[1:]
listeners = [socket.create_server(("127.0.0.1", 880), reuse_port=shared), socket.create_server(("::1", 880), family=socket.AF_INET6)]
if shared:
    second = socket.create_server(("127.0.0.1", 880), reuse_port=True)
    os.set_inheritable(os.dup2(second.fileno(), 20), True)
kept = [os.dup(listener.fileno()) for listener in listeners]
for target, descriptor in enumerate(kept, start=3):
    if descriptor != target:
        os.dup2(descriptor, target)
    os.set_inheritable(target, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(listeners)))
os.execv(command[0], command)
