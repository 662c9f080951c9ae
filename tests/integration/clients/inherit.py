"""What systemd does for a socket unit: opens the listeners, blocking as by default, and hands them over (sd_listen_fds(3)).

inherit.py CMD…
"""
import os
import socket
import sys

listeners = [socket.create_server(("127.0.0.1", 880)), socket.create_server(("::1", 880), family=socket.AF_INET6)]
kept = [os.dup(listener.fileno()) for listener in listeners]
for target, descriptor in enumerate(kept, start=3):
    if descriptor != target:
        os.dup2(descriptor, target)
    os.set_inheritable(target, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(listeners)))
os.execv(sys.argv[1], sys.argv[1:])
