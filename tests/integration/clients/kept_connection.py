"""One connection to ADDRESS, kept: `GET PATH` for each PATH read from stdin; prints the status, or the errno it ended with."""
import errno
import http.client
import socket
import sys

address = sys.argv[1]
client = http.client.HTTPConnection("[::]" if ":" in address else address, 80, timeout=20)
# By hand: an IPv4 address in its v4-mapped form is for a socket of AF_INET6.
client.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
client.sock.connect((address, 80))
print("connected", client.sock.getsockname()[1], flush=True)
for line in sys.stdin:
    try:
        client.request("GET", line.strip(), headers={"Host": "169.254.169.254"})
        answer = client.getresponse()
        answer.read()
        print(answer.status, flush=True)
    except (OSError, http.client.HTTPException) as error:
        print(errno.errorcode.get(getattr(error, "errno", None), type(error).__name__), flush=True)
        break
