"""`GET PATH`, on a connection of its own, for each PATH read from stdin; prints the status."""
import http.client
import sys

for line in sys.stdin:
    client = http.client.HTTPConnection("169.254.169.254", 80, timeout=20)
    client.request("GET", line.strip())
    print(client.getresponse().status, flush=True)
    client.close()
