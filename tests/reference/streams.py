"""Seeded random streams of ECS events that stay near what the rules look for: names that almost match, values on the edge
of a wildcard, exclusions, missing fields, nulls, arrays, letters that only look like ASCII, times on and around a second.

stream(seed, events) gives lines as bytes; some are no events, `malformed` of them in a thousand.
"""

from __future__ import annotations

import codecs
import datetime
import json
import random

NAMES = ["curl", "CURL", "cUrL", "curl ", "curlx", "xcurl", "cur", "wget", "wgeT", "python3.11", "python", "pythor", "Perl5.36",
         "php-fpm", "ruby", "lua5.4", "nc", "ncat", "nc.openbsd", "ncatx", "awk", "ſocat", "socat", "ſh", "sh", "bash", "\uff43url",
         "\u212aey", "key", "node", "nodes", "perl\n", "*", "?", "cur*", "", "ls", "Ünode", "öpenssl", "openssl", "telnet"]
PATHS = ["/usr/bin/curl", "/tmp/x", "/tmp/", "/tmp", "/TMP/Dropper", "/tmpx/y", "./run", ".//run", "../tmp/x", "/var/tmp/a/b", "/var/www/html/c.php",
         "/dev/shm/.x", "/etc/init.d/ssh", "/etc/rc3.d/S01x", "/etc/rc.local", "/etc/rc.locale", "/etc/rc/d", "/etc/cron.daily/x",
         "/etc/crontab", "/boot/", "/srv/app", "/run/user/0/x", "/opt/rumble/bin/rumble-agent-1", "/opt/rumble/bin/rumble-agen",
         "/opt/aws/inspector/bin/inspectorssmplugin", "/opt/aws/inspector/bin/InspectorSsmPlugin", "/usr/bin/\u017fleep", "/\U0001f4a9/x"]
DIRECTORIES = ["/", "/root", "/opt/rapid7", "/opt/rapid7/agent", "/OPT/Rapid7x", "/opt/rapid", "/opt/nessus/var", "/snap/amazon-ssm-agent",
               "/snap/amazon-ssm-agent/12", "/var/snap/amazon-ssm-agent", "/var/snap/amazon-ssm-agent/1", "/var/log/amazon/ssm/", "/home/k"]
PARENTS = ["/usr/bin/setup-policy-routes", "/usr/bin/Setup-Policy-Routes", "/usr/bin/setup-policy-route", "/usr/share/ec2-instance-connect/eic",
           "/usr/share/ec2-instance-connect", "/var/lib/amazon/ssm/agent", "/bin/bash", "/usr/sbin/cron"]
COMMANDS = ["curl http://169.254.169.254/latest/", "curl 169.254.169.25", "x169.254.169.254x", "wget http://[fd00:ec2::254]/", "ls -l", "a\nb169.254.169.254\nc",
            "python3 -c 'print(1)'", "169X254X169X254", "CURL HTTP://169.254.169.254", "sh -c \"k=\u212a\"", ""]
ADDRESSES = ["169.254.169.254", "169.254.169.254", "169.254.169.254", "::ffff:169.254.169.254", "::FFFF:A9FE:A9FE", "fd00:ec2::254", "FD00:EC2:0::254", "169.254.169.253", "10.0.0.7",
             "::ffff:10.0.0.7", "192.168.1.20", "::1", "127.0.0.1", "8.8.8.8"]
NUMBERS = [0, 1, 2, 5, 79, 80, 81, 200, 403, 443, 8080, 28249, 4194304]
SPANS = [0] * 9 + [1] * 6 + [2, 5, 5, 17, 40, 40, 200, 499, 500, 501, 998, 999, 1000, 1000, 1001, 1002, 2000, 2001]


class Stream:
    def __init__(self, seed: int, malformed: int = 0):
        self.random = random.Random(seed)
        self.malformed = malformed
        self.now = 1_700_000_000_000 + self.random.randrange(10 ** 9)  # ms

    def pick(self, values, missing: float = 0.06):
        """A value, none, null, or several."""
        chance = self.random.random()
        if chance < missing:
            return ...
        if chance < missing + 0.03:
            return self.random.choice([None, [], [None], {}])
        if chance < missing + 0.10:
            several = [self.random.choice(values) for _ in range(self.random.choice([1, 2, 2, 3]))]
            return self.random.choice([several, [several], [several[:1], several[1:]], several + [None]])
        return self.random.choice(values)

    def sometimes_listed(self, value):
        chance = self.random.random()
        return [value] if chance < 0.4 else ([value, self.random.choice(["info", "access", "x"])] if chance < 0.5 else value)

    def event(self) -> dict:
        r = self.random
        kind = r.choice(["process"] * 9 + ["network"] * 9 + ["web", "file", "Process", "authentication", "any"])
        action = {"process": ["exec"] * 8 + ["fork", "Exec", "end"], "network": ["connection_attempted"] * 8 + ["connection_accepted"],
                  "web": ["metadata_request"]}.get(kind, ["exec", "creation"])
        event = {
            "event.category": self.sometimes_listed(kind) if r.random() < 0.98 else ["network", "process"],
            "event.type": self.sometimes_listed("start" if r.random() < 0.9 else r.choice(["end", "Start", "change"])),
            "event.action": self.sometimes_listed(r.choice(action)),
            "host.os.type": "linux" if r.random() < 0.95 else self.pick(["windows", "Linux", "macos"]),
            "host.id": self.pick(["h1", "h2", "H1"], 0.03),
            "process.parent.entity_id": self.pick([f"p{n}" for n in range(5)] + ["P1"], 0.04),
            "process.entity_id": self.pick([f"e{n}" for n in range(9)]),
            "process.name": self.pick(NAMES),
            "process.executable": self.pick(PATHS),
            "process.working_directory": self.pick(DIRECTORIES, 0.3),
            "process.parent.executable": self.pick(PARENTS),
            "process.parent.name": self.pick(NAMES),
            "process.pid": self.pick(NUMBERS),
            "process.command_line": self.pick(COMMANDS),
            "process.args": [r.choice(COMMANDS + NAMES) for _ in range(r.randrange(4))],
            "process.interactive": self.pick([True, False], 0.3),
            "user.name": self.pick(["root", "Root", "www-data", "\u212aelvin", "kelvin"]),
            "user.id": self.pick(["0", "33", "1000"]),
        }
        if kind != "process" or r.random() < 0.1:
            event |= {"destination.ip": self.pick(ADDRESSES), "destination.port": self.pick(NUMBERS), "source.ip": self.pick(ADDRESSES, 0.3),
                      "network.forwarded_ip": self.pick(ADDRESSES, 0.5),
                      "http.response.status_code": self.pick(NUMBERS, 0.4), "url.path": self.pick(PATHS, 0.4)}
        return {name: value for name, value in event.items() if value is not ...}

    def timestamp(self):
        """The time of the next event, in one of the forms; now and then earlier than the one before."""
        r = self.random
        self.now += r.choice(SPANS) if r.random() < 0.97 else -r.choice(SPANS)
        micros = self.now * 1000 + r.choice([0, 0, 0, 1, 499, 500, 999])
        form = r.random()
        if form < 0.25:
            return self.now
        if form < 0.30:
            return str(self.now)
        if form < 0.33:
            return f"{micros // 1000}.{micros % 1000:03}{r.choice(['', '', '99999999'])}"
        offset = datetime.timedelta(minutes=r.choice([0, 0, 0, 60, 120, 330, -570]))
        time = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros) + offset
        text = time.strftime(r.choice(["%Y-%m-%dT%H:%M:%S"] * 5 + ["%Y-%m-%d %H:%M:%S"]))
        text += r.choice([".", ".", ".", ","]) + f"{time.microsecond:06}"[:r.choice([3, 3, 6, 6, 1])] + r.choice(["", "", "000"])
        if offset:
            sign, minutes = ("-" if offset < datetime.timedelta() else "+"), abs(int(offset.total_seconds()) // 60)
            return text + sign + f"{minutes // 60:02}" + r.choice([":", ""]) + f"{minutes % 60:02}"
        return text + r.choice(["Z", "Z", "+00:00", ""])

    def nested(self, event: dict) -> dict:
        """Dotted, nested and mixed keys for the same fields."""
        r = self.random
        style = r.random()
        if style < 0.2:
            return event
        result: dict = {}
        for name, value in event.items():
            parts = name.split(".")
            if style > 0.6 and r.random() < 0.2:
                cut = r.randrange(len(parts))
                parts = [".".join(parts[:cut + 1])] + parts[cut + 1:]
            here = result
            for part in parts[:-1]:
                here = here.setdefault(part, {})
                if isinstance(here, list):
                    here = here[-1]
            here[parts[-1]] = value
        if r.random() < 0.05 and isinstance(result.get("process"), dict):
            result["process"] = [result["process"], {"name": r.choice(NAMES), "more": [{"x": 1}]}]
        return result

    def line(self) -> bytes:
        r = self.random
        if r.randrange(1000) < self.malformed:
            return r.choice([b"{", b"[]", b"17", b"", b"{}", b'{"@timestamp":"yesterday"}', b'{"@timestamp":1,}', b'{"@timestamp":1} x',
                             b'{"@timestamp":null,"event.category":"process"}', b'{"@timestamp":"2026-02-30T00:00:00Z"}', b'\xff{"@timestamp":1}',
                             b'\xef\xbb\xbf{"@timestamp":1}'])
        event = self.nested({"@timestamp": self.timestamp(), **self.event()})
        if r.random() < 0.3:
            keys = list(event)
            r.shuffle(keys)
            event = {key: event[key] for key in keys}
        separators = r.choice([(",", ":"), (", ", ": ")])
        return json.dumps(event, ensure_ascii=r.random() < 0.5, separators=separators).encode()


def stream(seed: int, events: int, malformed: int = 0) -> list[bytes]:
    source = Stream(seed, malformed)
    lines = [source.line() for _ in range(events)]
    return [codecs.BOM_UTF8 + lines[0], *lines[1:]] if seed % 2 else lines
