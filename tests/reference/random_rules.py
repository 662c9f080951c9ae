"""Random rules over the fields and near the values of streams.py: every operator and function, and sequences of them."""

from __future__ import annotations

import random
import re

import streams as s

TEXTS = {
    "process.name": s.NAMES, "process.executable": s.PATHS, "process.working_directory": s.DIRECTORIES,
    "process.parent.executable": s.PARENTS, "process.command_line": s.COMMANDS, "process.args": s.COMMANDS + s.NAMES,
    "user.name": ["root", "www-data", "kelvin", "\u212aelvin"], "event.action": ["exec", "connection_attempted", "metadata_request"],
    "event.type": ["start", "end"], "process.parent.name": s.NAMES, "absent.field": ["x"], "host.os.type": ["linux", "Linux"],
}
NUMERIC = ["process.pid", "destination.port", "http.response.status_code", "user.id"]
IPS = ["destination.ip", "source.ip", "network.forwarded_ip"]
KEYS = ["host.id", "process.parent.entity_id", "process.entity_id", "user.name", "destination.ip"]
REGEXES = ["cur.", "c[a-z]rl", "(curl|wget)", "python[0-9.]*", ".*169\\.254\\.169\\.254.*", "/tmp/.*", "[^/]*", "s.*t", "k.*", "[^k]*", "(?:nc|ncat)(x)?",
           "\\w+", "[A-Z]+", ".{4}", "/.*/x?", "s?ocat", "a+|b*", "p[^e].*", "^curl$", "curl^?$?",
           "cur[l$^]"]
BLOCKS = ["169.254.0.0/16", "169.254.169.254/32", "10.0.0.0/8", "fd00::/8", "::/0", "0.0.0.0/0", "192.168.1.16/28", "::ffff:0:0/96", "::/16", "::ffff:10.0.0.0/104", "::1",
          "10.0.0.7", "::ffff:169.254.169.254"]


FUNCTION = re.compile(r"\b(add|between|cidrMatch|concat|divide|endsWith|indexOf|length|match|modulo|multiply|number|startsWith|string|stringContains|substring|"
                      r"subtract|wildcard)(?=~?\()")


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


class Rules:
    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def one(self, values):
        return self.random.choice(values)

    def near(self, text: str) -> str:
        """The text, or with a wildcard put into it, or another case of it."""
        r = self.random
        chance = r.random()
        if chance < 0.3 or not text:
            return text
        if chance < 0.7:
            at, end = sorted((r.randrange(len(text) + 1), r.randrange(len(text) + 1)))
            return text[:at] + r.choice(["*", "?", "**", "*?"]) + text[end:]
        return r.choice([text.upper(), text.lower(), text[:-1], "*" + text[-3:], text[:3] + "*"])

    def field(self, name: str) -> str:
        return ("?" if self.random.random() < 0.1 else "") + name

    def listed(self, values: list[str]) -> str:
        return values[0] if len(values) == 1 and self.random.random() < 0.7 else "(" + ", ".join(values) + ")"

    def text_term(self) -> str:
        r = self.random
        name = r.choice(list(TEXTS))
        values = [r.choice(TEXTS[name]) for _ in range(r.choice([1, 1, 2, 4]))]
        exact = [quote(v if r.random() < 0.8 else self.near(v)) for v in values]
        patterns = [quote(self.near(v)) for v in values]
        operator = r.choice(["==", "!=", ":", ":", "like", "like~", "in", "in~", "not in", "regex", "regex~", "<", ">=", "null", "flip"])
        field = self.field(name)
        if operator == "null":
            return f"{field} {r.choice(['==', '!='])} null"
        if operator == "flip":
            return f"{exact[0]} {r.choice(['==', '!='])} {field}"
        if operator in ("==", "!=", "<", ">="):
            return f"{field} {operator} {exact[0]}"
        if operator in ("in", "in~", "not in"):
            return f"{field} {operator} ({', '.join(exact)})"
        if operator.startswith("regex"):
            negation = "not " if r.random() < 0.1 else ""
            return f"{field} {negation}{operator} {self.listed([quote(r.choice(REGEXES)) for _ in values])}"
        negation = "not " if operator.startswith("like") and r.random() < 0.2 else ""
        return f"{field} {negation}{operator} {self.listed(patterns)}"

    def text_value(self) -> tuple[str, list[str]]:
        """An expression that is a text, and texts it may be near."""
        r = self.random
        name = r.choice(list(TEXTS))
        sample = r.choice(TEXTS[name])
        case = r.choice(["", "~"])
        form = r.randrange(5)
        if form == 0:
            start = r.choice([0, 1, 2, -1, -3, -40, 3])
            end = r.choice([None, 0, 1, 3, 5, -1, -2, 40])
            value = sample[start:end]
            return f"substring({name}, {start}{'' if end is None else f', {end}'})", [value, value.upper()]
        if form == 1:
            left, right = r.choice([("/", "/"), ("c", "l"), ("http://", "/"), ("", "/"), ("K", "l"), ("/", "")])
            greedy = r.choice(["", ", true", ", false"])
            return f"between{case}({name}, {quote(left)}, {quote(right)}{greedy})", ["", "ur", "tmp", "usr", "usr/bin", "169.254.169.254", "var/tmp/a"]
        if form == 2:
            return f'concat({name}, ":", process.pid)', [f"{sample}:80", f"{sample}:1"]
        if form == 3 and r.random() < 0.2:
            return f'concat({name}, null)', [sample]
        if form == 3:
            return f"string({r.choice(NUMERIC)})", ["80", "0", "33", "200"]
        return f'concat("<", {name}, ">")', [f"<{sample}>"]

    def number_value(self) -> str:
        r = self.random
        name = r.choice(list(TEXTS))
        case = r.choice(["", "~"])
        numeric = r.choice(NUMERIC)
        small = r.choice([1, 2, 3, 7, 10])
        return r.choice([
            f"length({name})", f"indexOf{case}({name}, {quote(r.choice(['/', 'c', 'URL', 'k', '', '9.2']))})",
            f"indexOf{case}({name}, {quote(r.choice(['/', 'c', 'l', '']))}, {r.choice([0, 1, 2, 9, 99, -1])})",
            f"number({numeric})", f"number(substring({name}, 0, 2))", f"add({numeric}, {small})", f"subtract({numeric}, {small})",
            f"multiply({numeric}, {small})", f"divide({numeric}, {small})", f"modulo({numeric}, {small})", f"{numeric} + {small}",
            f"{numeric} - {small}", f"{numeric} * {small}", f"{numeric} / {small}", f"{numeric} % {small}", f"{numeric} + {small} * 2",
            f"({numeric} + {small}) * 2", f"length({r.choice([name, 'null'])}) + {r.choice([numeric, 'null'])}", f"number({numeric}, {r.choice(['null', '10', '16'])})",
            f"indexOf{case}({name}, {quote('c')}, null)", f"add({numeric}, null)", f"+{numeric}",
            f"-{numeric}", f"number({quote('0x1f')})", f"number(concat({quote(r.choice([' ', '+', '-', ' +', '0x']))}, {numeric}, {quote(' ')}))",
            f"{small} + {numeric} / 0",
        ])

    def function_term(self) -> str:
        r = self.random
        name = r.choice(list(TEXTS))
        sample = r.choice(TEXTS[name])
        case = r.choice(["", "~"])
        part = sample[r.randrange(len(sample) + 1):][:r.randrange(6)] if r.random() < 0.8 else r.choice(["", "k", "S"])
        if r.random() < 0.3:
            part = part.swapcase()
        return r.choice([
            f"wildcard{case}({name}, {', '.join(quote(self.near(r.choice(TEXTS[name]))) for _ in range(r.choice([1, 2])))})",
            f"match{case}({name}, {', '.join(quote(r.choice(REGEXES)) for _ in range(r.choice([1, 2])))})",
            f"startsWith{case}({name}, {quote(part)})", f"endsWith{case}({name}, {quote(part)})",
            f"stringContains{case}({name}, {quote(part)})", f"startsWith{case}({name}, null)", f"wildcard{case}({name}, null)",
            f"{r.choice(['startsWith', 'endsWith', 'stringContains'])}{case}({r.choice(IPS)}, {quote(r.choice(['169.254', '::', '254', 'FD00', 'fd00:ec2', '10.']))})",
            f"match{case}({r.choice(IPS)}, {quote(r.choice(['169.*', '.*::.*', 'FD.*', '[^:]*', '.*254']))})",
            f"length({r.choice(IPS)}) {r.choice(['==', '>'])} {r.choice([3, 8, 15])}",
            f"{r.choice(IPS)} regex {quote(r.choice(['169.*', '.*:.*', '::ffff.*', '10[.]0.*']))}",
            f"cidrMatch({r.choice(IPS)}, {', '.join(quote(r.choice(BLOCKS)) for _ in range(r.choice([1, 2])))})",
        ])

    def number_term(self) -> str:
        r = self.random
        left = r.choice(NUMERIC) if r.random() < 0.5 else self.number_value()
        if r.random() < 0.15:
            return f"{left} in ({', '.join(str(r.choice(s.NUMBERS)) for _ in range(3))})"
        return f"{left} {r.choice(['==', '!=', '<', '<=', '>', '>='])} {r.choice(s.NUMBERS + [3, 4, 6, 10, 12])}"

    def term(self) -> str:
        r = self.random
        chance = r.random()
        if chance < 0.45:
            return self.text_term()
        if chance < 0.60:
            return self.function_term()
        if chance < 0.75:
            return self.number_term()
        if chance < 0.85:
            value, near = self.text_value()
            return f"{value} {r.choice(['==', '!=', ':', 'like'])} {quote(r.choice(near))}"
        if chance < 0.95:
            value = quote(r.choice(s.ADDRESSES))
            return r.choice([f"{r.choice(IPS)} {r.choice(['==', '!=', '<', '>='])} {value}", f"source.ip {r.choice(['==', '!=', '<', '>='])} destination.ip",
                             f"concat({r.choice(IPS)}, \":80\") == {quote(r.choice(s.ADDRESSES) + ':80')}", f"{r.choice(IPS)} in ({value}, \"10.0.0.7\")",
                             f"{r.choice(IPS)} : \"169.254.*\"", f"{r.choice(IPS)} != null"])
        return r.choice(["true", "false", self.field("process.interactive"), "not process.interactive", f"process.interactive {r.choice(['==', '!='])} {r.choice(['true', 'false'])}"])

    def expression(self, depth: int) -> str:
        r = self.random
        if depth == 0 or r.random() < 0.2:
            return ("not " if r.random() < 0.2 else "") + self.term()
        if r.random() < 0.15:
            return f"not ({self.expression(depth - 1)})"
        parts = [self.expression(depth - 1) for _ in range(r.choice([2, 2, 3]))]
        joined = f" {r.choice(['and', 'or'])} ".join(parts)
        return f"({joined})" if r.random() < 0.5 else joined

    def condition(self) -> str:
        """A stage's: wide enough that sequences come about."""
        r = self.random
        category = r.choice(["process", "process", "process", "network", "network", "any", "any", "web", '"any"', '"network"'])
        if r.random() < 0.5:
            return f"{category} where true"
        return f"{category} where {self.expression(1)}"

    def sequence(self) -> str:
        r = self.random
        by = r.sample(KEYS, r.choice([0, 1, 1, 2, 2]))
        own = r.random() < 0.3
        text = "sequence"
        if by:
            text += " by " + ", ".join(("?" if r.random() < 0.15 else "") + key for key in by)
        if r.random() < 0.85:
            text += f" with maxspan={r.choice(['1s', '1s', '1000ms', '2s', '999ms', '5s', '1m'])}"
        for _ in range(r.choice([2, 2, 3, 4])):
            text += f"\n  [{self.condition()}]" + (f" by {r.choice(KEYS)}" if own else "")
            if r.random() < 0.1:
                text += f" with runs={r.choice([1, 2, 3])}"
        if r.random() < 0.2:
            text += f"\nuntil [{self.condition()}]" + (f" by {r.choice(KEYS)}" if own else "")
        return text

    def spelled(self, text: str) -> str:
        """With some functions' names in another case."""
        def one(name: re.Match) -> str:
            return self.one([name[0]] * 6 + [name[0].lower(), name[0].upper()])
        return FUNCTION.sub(one, text)

    def rule(self) -> str:
        r = self.random
        if r.random() < 0.4:
            return self.spelled(self.sequence())
        return self.spelled(f"{r.choice(['process', 'network', 'any'])} where {self.expression(r.choice([1, 2, 3]))}")


def rules(seed: int, count: int) -> dict[str, str]:
    source = Rules(seed)
    return {f"r{seed}-{number}": source.rule() for number in range(count)}
