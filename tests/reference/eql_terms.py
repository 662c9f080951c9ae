"""What a condition says of one event: `holds(tree, fields)`, fields being texts by name.

Above terms all is true or false; `not` of what is not true is true. A term (a comparison, a predicate, a function that
answers yes or no) is tried with every combination of the values of the fields it names, a missing one being null, and is
true when one combination makes it true. `a != b` is: for some combination both sides have a value, and for none are they
equal.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from functools import lru_cache

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.A)
UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class Raw(str):
    """A field's value: a text that may be read as a number, a boolean or an address."""


def fold(text: str) -> str:
    """ASCII letters only: ſ, the Kelvin sign and full-width letters stay."""
    return text.translate(UPPER)


@lru_cache(maxsize=65536)
def address(text: str) -> str | None:
    """Canonical; a v4-mapped one as the IPv4 address it stands for."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def number(text) -> int | float | None:
    if isinstance(text, bool):
        return None
    if isinstance(text, (int, float)):
        return text
    if not NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def fields_of(tree) -> list[str]:
    if isinstance(tree, tuple) and tree[:1] == ("field",):
        return [tree[1]]
    if isinstance(tree, (tuple, list)):
        return list(dict.fromkeys(name for part in tree for name in fields_of(part)))
    return []


def holds(tree, fields: dict[str, list[str]]) -> bool:
    kind = tree[0]
    if kind == "not":
        return not holds(tree[1], fields)
    if kind == "and":
        return all(holds(part, fields) for part in tree[1])
    if kind == "or":
        return any(holds(part, fields) for part in tree[1])
    if kind == "bool":
        return tree[1]
    if kind == "field":
        return "true" in (fields.get(tree[1]) or [])
    if kind == "list" and tree[3]:
        return not holds((*tree[:3], False, *tree[4:]), fields)
    names = fields_of(tree)
    columns = [[Raw(value) for value in fields.get(name) or []] or [None] for name in names]
    combinations = [dict(zip(names, values)) for values in itertools.product(*columns)]
    if kind == "compare" and ("null",) in tree[2:]:
        other = tree[2] if tree[3] == ("null",) else tree[3]
        there = any(value(other, one) is not None for one in combinations)
        return there == (tree[1] == "!=")
    if kind == "compare" and tree[1] == "!=":
        answers = [compare("==", tree[2], tree[3], one) for one in combinations]
        return True not in answers and False in answers
    return any(value(tree, one) is True for one in combinations)


def is_address_field(name: str) -> bool:
    """ECS's fields of type ip."""
    return name.split(".")[-1] == "ip" or name in ("dns.resolved_ip", "network.forwarded_ip")


def is_address(tree) -> bool:
    return tree[0] == "field" and is_address_field(tree[1])


def compare(operator: str, left, right, fields) -> bool | None:
    """null when a side is null; false when the two cannot be compared."""
    a, b = value(left, fields), value(right, fields)
    if a is None or b is None:
        return None
    if is_address(left) or is_address(right):
        a, b = address(a), address(b)
        if a is None or b is None:
            return False
        if operator != "==":
            a, b = mapped(a), mapped(b)
    elif any(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (a, b)):
        a, b = number(a), number(b)
        if a is None or b is None:
            return False
    elif isinstance(a, bool) or isinstance(b, bool):
        a, b = ({True: "true", False: "false"}.get(x, x) if isinstance(x, bool) else x for x in (a, b))
    match operator:
        case "==": return a == b
        case "<": return a < b
        case "<=": return a <= b
        case ">": return a > b
        case ">=": return a >= b


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), re.S)


def like(text: str, pattern: str, insensitive: bool) -> bool:
    if insensitive:
        text, pattern = fold(text), fold(pattern)
    return glob(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def without_anchors(pattern: str) -> str:
    """Lucene has none: ^ and $ are ordinary characters, but for the ^ that a class begins with."""
    part = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[\^$]|.", re.S)
    return "".join("\\" + one if one in ("^", "$") else one for one in part.findall(pattern))


def regex(text: str, pattern: str, insensitive: bool) -> bool:
    return re.fullmatch(without_anchors(pattern), text, re.S | re.A | (re.I if insensitive else 0)) is not None


def listed(tree, fields) -> bool | None:
    _, operator, insensitive, _, left, right = tree
    text = value(left, fields)
    if text is None:
        return None
    if operator == "in" and not insensitive:
        return any(compare("==", left, one, fields) for one in right)
    if operator == "in":
        return any(fold(text) == fold(one[1]) if one[0] == "string" else compare("==", left, one, fields) for one in right)
    return any((like if operator == "like" else regex)(text, one[1], insensitive) for one in right)


def arithmetic(operator: str, a, b) -> int | float | None:
    a, b = (None if x is None else number(x) for x in (a, b))
    if a is None or b is None:
        return None
    match operator:
        case "+": return a + b
        case "-": return a - b
        case "*": return a * b
    if b == 0:
        return None
    whole = isinstance(a, int) and isinstance(b, int)
    if operator == "/":
        return a // b if whole else a / b
    return int(abs(a) % abs(b) * (1 if a >= 0 else -1)) if whole else None


def canonical(tree, text: str | None) -> str | None:
    """The one text that an address has, however the event wrote it."""
    return Raw(address(text) or text) if text is not None and is_address(tree) else text


def value(tree, fields):
    """None is null."""
    match tree[0]:
        case "null": return None
        case "bool" | "number" | "string": return tree[1]
        case "field": return canonical(tree, fields[tree[1]])
        case "minus": return arithmetic("-", 0, value(tree[1], fields))
        case "arith": return arithmetic(tree[1], value(tree[2], fields), value(tree[3], fields))
        case "compare": return compare(*tree[1:], fields)
        case "list": return listed(tree, fields)
        case "call":
            parts = tree[3][:1] if tree[1].lower() == "number" and tree[3][1:] == [("null",)] else tree[3]
            arguments = [value(argument, fields) for argument in parts]
            return None if None in arguments else call(tree[1].lower(), tree[2], arguments)
    raise ValueError(tree[0])


def between(source: str, left: str, right: str, greedy: bool, case) -> str:
    if not (source and left and right):
        return source
    at = case(source).find(case(left))
    if at < 0:
        return ""
    rest = source[at + len(left):]
    end = (case(rest).rfind if greedy else case(rest).find)(case(right))
    return rest[:end] if end >= 0 else ""


def index_of(source: str, part: str, start: int, case) -> int | None:
    if not part:
        return min(max(start, 0), len(source))
    at = case(source).find(case(part), max(start, 0))
    return at if at >= 0 else None


def to_number(text: str, base: int | None) -> int | float | None:
    """Signs are supported with no space between, surrounding white space is ignored."""
    text = text.strip(" \t\n\v\f\r")
    if base is None and re.fullmatch("0x[0-9a-fA-F]+", text):
        return int(text, 16)
    if base is None or base == 10:
        return number(text.removeprefix("+")) if text[:2] not in ("+-", "++") else None
    digits = text[2:] if base == 16 and text.startswith("0x") else text
    try:
        return int(digits, base) if re.fullmatch("[+-]?[0-9a-zA-Z]+", digits) else None
    except ValueError:
        return None


def text_of(item) -> str:
    return ("true" if item else "false") if isinstance(item, bool) else str(item)


def mapped(text: str) -> int:
    """An address as a number of 128 bits, an IPv4 one as v4-mapped: so ::/0 holds those, too."""
    found = ipaddress.ip_address(text)
    return int(found) if found.version == 6 else int(found) | 0xFFFF << 32


def cidr(text: str, blocks) -> bool:
    if address(text) is None:
        return False
    for block in blocks:
        start, _, length = block.partition("/")
        free = (128 if ":" in start else 32) - int(length) if length else 0
        if mapped(address(text)) >> free == mapped(start) >> free:
            return True
    return False


def call(name: str, insensitive: bool, arguments: list):
    """`name` in lower case: the language takes a function's name in any."""
    case = fold if insensitive else str
    first, rest = arguments[0], arguments[1:]
    match name:
        case "wildcard": return any(like(first, pattern, insensitive) for pattern in rest)
        case "match": return any(regex(first, pattern, insensitive) for pattern in rest)
        case "startswith": return case(first).startswith(case(rest[0]))
        case "endswith": return case(first).endswith(case(rest[0]))
        case "stringcontains": return rest[0] != "" and case(rest[0]) in case(first)
        case "cidrmatch": return cidr(first, rest)
        case "length": return len(first)
        case "indexof": return index_of(first, rest[0], int(number(rest[1])) if rest[1:] else 0, case)
        case "substring": return first[rest[0]:(rest[1] if rest[1:] else None)]
        case "between": return between(first, rest[0], rest[1], bool(rest[2:] and rest[2]), case)
        case "concat": return "".join(text_of(item) for item in arguments)
        case "string": return text_of(first)
        case "number": return to_number(first, rest[0] if rest else None)
        case "add": return arithmetic("+", first, rest[0])
        case "subtract": return arithmetic("-", first, rest[0])
        case "multiply": return arithmetic("*", first, rest[0])
        case "divide": return arithmetic("/", first, rest[0])
        case "modulo": return arithmetic("%", first, rest[0])
    raise ValueError(f"unknown function {name}")
