"""EQL's text to a tree of tuples. Part of the reference that `imdsgate replay` is compared with: plain, slow, and
written from the language's description (https://www.elastic.co/guide/en/elasticsearch/reference/current/eql-syntax.html),
not from the engine.

Trees: ("null",) ("bool", b) ("number", n) ("string", s) ("field", name, optional) ("not", x) ("and", [x…]) ("or", [x…])
("compare", op, x, y) ("list", op, insensitive, negated, x, [y…]) ("arith", op, x, y) ("minus", x)
("call", name, insensitive, [x…])
"""

from __future__ import annotations

import dataclasses
import re

TOKEN = re.compile(r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<raw>\"\"\"(?P<rawtext>.*?)\"\"\"+)
  | (?P<string>"(?P<text>(?:[^"\\\n]|\\.)*)")
  | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?P<unit>ms|[smhd])?)
  | (?P<name>`(?:[^`]|``)+`)
  | (?P<word>[A-Za-z_@][A-Za-z0-9_@]*~?)
  | (?P<symbol>==|!=|<=|>=|[<>=:+\-*/%()\[\],.?])
""", re.X | re.S)
ESCAPE = re.compile(r'\\(u\{[0-9a-fA-F]{2,8}\}|u[0-9a-fA-F]{4}|.)', re.S)
PLAIN = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "f": "\f", "\\": "\\", '"': '"', "'": "'"}
SPAN = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def unescape(text: str) -> str:
    def one(match: re.Match) -> str:
        escape = match[1]
        if escape[0] == "u" and len(escape) > 1:
            return chr(int(escape[1:].strip("{}"), 16))
        return PLAIN[escape]
    return ESCAPE.sub(one, text)


def tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise SyntaxError(f"at {at}: {text[at:at + 20]!r}")
        at = match.end()
        if match["raw"] is not None:
            found.append(("string", match["raw"][3:-3]))
        elif match["string"] is not None:
            found.append(("string", unescape(match["text"])))
        elif match["space"] is None:
            kind = next(k for k in ("number", "name", "word", "symbol") if match[k] is not None)
            found.append((kind, match[kind][1:-1].replace("``", "`") if kind == "name" else match[kind]))
    return found + [("end", "")]


@dataclasses.dataclass
class Query:
    category: str | None  # None: any; a quoted "any" is the category of that name
    where: tuple


@dataclasses.dataclass
class Stage:
    query: Query
    keys: list[tuple[str, bool]]  # the sequence's and its own; (name, optional)


@dataclasses.dataclass
class Sequence:
    stages: list[Stage]
    until: Stage | None
    maxspan: int | None  # milliseconds


class Parser:
    def __init__(self, text: str):
        self.tokens = tokens(text)
        self.at = 0

    def peek(self, value: str | None = None, kind: str | None = None) -> bool:
        token = self.tokens[self.at]
        return (value is None or token[1] == value) and (kind is None or token[0] == kind) and token[0] != "end"

    def is_word(self, word: str) -> bool:
        return self.peek(word, "word")

    def is_symbol(self, symbol: str) -> bool:
        return self.peek(symbol, "symbol")

    def take(self, value: str | None = None) -> str:
        token = self.tokens[self.at]
        if value is not None and token[1] != value:
            raise SyntaxError(f"expected {value}, found {token[1]!r}")
        self.at += 1
        return token[1]

    def rule(self) -> Query | Sequence:
        result = self.sequence() if self.is_word("sequence") else self.query()
        if self.tokens[self.at][0] != "end":
            raise SyntaxError(f"unexpected {self.tokens[self.at][1]!r}")
        return result

    def query(self) -> Query:
        category = None if self.is_word("any") else self.tokens[self.at][1]
        self.take()
        self.take("where")
        return Query(category, self.disjunction())

    def keys(self) -> list[tuple[str, bool]]:
        if not self.is_word("by"):
            return []
        found = []
        while not found or self.is_symbol(","):
            self.take()
            optional = self.is_symbol("?")
            if optional:
                self.take()
            found.append((self.field_name(), optional))
        return found

    def span(self) -> int:
        match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", self.take())
        return int(match[1]) * SPAN[match[2]]

    def stage(self, shared: list[tuple[str, bool]]) -> tuple[Stage, int]:
        self.take("[")
        query = self.query()
        self.take("]")
        keys = shared + self.keys()
        runs = 1
        if self.is_word("with"):
            self.take()
            self.take("runs")
            self.take("=")
            runs = int(self.take())
        return Stage(query, keys), runs

    def sequence(self) -> Sequence:
        self.take("sequence")
        shared, maxspan = self.keys(), None
        if self.is_word("with"):
            self.take()
            self.take("maxspan")
            self.take("=")
            maxspan = self.span()
        stages, until = [], None
        while self.is_symbol("["):
            stage, runs = self.stage(shared)
            stages += [stage] * runs
        if self.is_word("until"):
            self.take()
            until, _ = self.stage(shared)
        if len(stages) < 2:
            raise SyntaxError("a sequence has two stages or more")
        return Sequence(stages, until, maxspan)

    def chain(self, word: str, name: str, operand):
        found = [operand()]
        while self.is_word(word):
            self.take()
            found.append(operand())
        return found[0] if len(found) == 1 else (name, found)

    def disjunction(self):
        return self.chain("or", "or", self.conjunction)

    def conjunction(self):
        return self.chain("and", "and", self.negation)

    def negation(self):
        if self.is_word("not"):
            self.take()
            return ("not", self.negation())
        return self.comparison()

    def comparison(self):
        left = self.sum()
        if self.peek(kind="symbol") and self.tokens[self.at][1] in ("==", "!=", "<", "<=", ">", ">="):
            return ("compare", self.take(), left, self.sum())
        negated = self.is_word("not")
        if negated:
            self.take()
        if self.is_symbol(":"):
            self.take()
            return ("list", "like", True, False, left, self.right())
        word = self.tokens[self.at][1]
        if self.peek(kind="word") and word.rstrip("~") in ("in", "like", "regex"):
            self.take()
            return ("list", word.rstrip("~"), word.endswith("~"), negated, left, self.right())
        return left

    def right(self) -> list:
        if not self.is_symbol("("):
            return [self.sum()]
        return self.arguments()

    def arguments(self) -> list:
        self.take("(")
        found = []
        while not self.is_symbol(")"):
            if found:
                self.take(",")
            found.append(self.disjunction())
        self.take(")")
        return found

    def binary(self, operators: str, operand):
        left = operand()
        while self.peek(kind="symbol") and self.tokens[self.at][1] in operators:
            left = ("arith", self.take(), left, operand())
        return left

    def sum(self):
        return self.binary("+-", self.product)

    def product(self):
        return self.binary("*/%", self.unary)

    def unary(self):
        if self.is_symbol("-"):
            self.take()
            return ("minus", self.unary())
        if self.is_symbol("+"):
            self.take()
            return ("arith", "+", ("number", 0), self.unary())
        return self.primary()

    def field_name(self) -> str:
        parts = [self.take()]
        while self.is_symbol("."):
            self.take()
            parts.append(self.take())
        return ".".join(parts)

    def primary(self):
        kind, text = self.tokens[self.at]
        if kind == "symbol" and text == "(":
            self.take()
            inner = self.disjunction()
            self.take(")")
            return inner
        if kind == "symbol" and text == "?":
            self.take()
            return ("field", self.field_name(), True)
        if kind == "string":
            return ("string", self.take())
        if kind == "number":
            self.take()
            return ("number", int(text) if text.isdigit() else float(text))
        if kind == "word" and text in ("true", "false"):
            return ("bool", self.take() == "true")
        if kind == "word" and text == "null":
            self.take()
            return ("null",)
        if kind == "word" and self.tokens[self.at + 1] == ("symbol", "("):
            self.take()
            return ("call", text.rstrip("~"), text.endswith("~"), self.arguments())
        if kind in ("word", "name"):
            return ("field", self.field_name(), False)
        raise SyntaxError(f"unexpected {text!r}")


def parse(text: str) -> Query | Sequence:
    return Parser(text).rule()
