"""A plain, slow evaluator of EQL rules over recorded ECS events: what `imdsgate replay` is compared with.

    eql.py QUERY-FILE EVENTS.ndjson      one {"events": [i, …]} a match, i being 0-based line numbers

It knows the same language in an independent way: no table of fields, no shared terms, no state that is pruned. All values
are what the event says, so the three views of a live event (claimed, proven, unknown) are one here.
"""

from __future__ import annotations

import codecs
import datetime
import decimal
import itertools
import json
import re
import sys
from collections import defaultdict

from eql_syntax import Query, Sequence, Stage, parse
from eql_terms import address, holds, is_address_field

MOST_COMBINATIONS = 16


class Text(str):
    """A number as the line spells it."""


def load(line: str | bytes):
    return json.loads(line, parse_int=Text, parse_float=Text, object_pairs_hook=Pairs)


class Pairs(list):
    """An object's members, doubled keys too."""


def flatten(value, path: str | None, fields: dict[str, list[str]]) -> None:
    if isinstance(value, Pairs):
        for key, inner in value:
            flatten(inner, key if path is None else f"{path}.{key}", fields)
    elif isinstance(value, list):
        for inner in value:
            flatten(inner, path, fields)
    elif value is not None and path is not None:
        text = str(value) if not isinstance(value, bool) else ("true" if value else "false")
        fields[path].append(text)


ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?:(Z)|([+-])(\d\d):?(\d\d)?)?", re.A)


def milliseconds(text: str) -> int:
    """Since the epoch, floored; ValueError when it is neither ISO 8601 nor epoch milliseconds."""
    match = ISO.fullmatch(text)
    if not match:
        return int(decimal.Decimal(text).to_integral_value(rounding=decimal.ROUND_FLOOR))
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    time = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc)
    whole = round((time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)).total_seconds())
    if match[9]:
        offset = int(match[10]) * 3600 + int(match[11] or 0) * 60
        whole -= offset if match[9] == "+" else -offset
    return whole * 1000 + int(((match[7] or "") + "000")[:3])


class Record:
    def __init__(self, line: int, raw: bytes):
        self.line = line
        self.fields: dict[str, list[str]] = defaultdict(list)
        value = load(raw)
        if not isinstance(value, Pairs):
            raise ValueError("no object")
        flatten(value, None, self.fields)
        stamps = self.fields.get("@timestamp", [])
        if len(stamps) != 1:
            raise ValueError("no @timestamp")
        self.time = milliseconds(stamps[0])


def fits(query: Query, record: Record) -> bool:
    if query.category is not None and query.category not in record.fields.get("event.category", []):
        return False
    return holds(query.where, record.fields)


def join_keys(stage: Stage, record: Record) -> list[tuple]:
    """Every combination of the values of the stage's keys; none when one is missing."""
    columns = []
    for name, optional in stage.keys:
        values = list(dict.fromkeys(address(v) or v if is_address_field(name) else v
                                    for v in record.fields.get(name, [])))
        columns.append(values or ([None] if optional else []))
    return list(itertools.product(*columns))[:MOST_COMBINATIONS]


class Machine:
    """One sequence: at most one pending match a stage and key."""

    def __init__(self, rule: Sequence):
        self.rule = rule
        self.pending: list[dict[tuple, list[Record]]] = [{} for _ in rule.stages]

    def within(self, chain: list[Record], now: int) -> bool:
        return self.rule.maxspan is None or now - chain[0].time <= self.rule.maxspan

    def feed(self, record: Record) -> list[list[int]]:
        done = []
        last = len(self.rule.stages) - 1
        for number in range(last, -1, -1):
            stage = self.rule.stages[number]
            if not fits(stage.query, record):
                continue
            for key in join_keys(stage, record):
                if number == 0:
                    self.pending[0][key] = [record]
                    continue
                chain = self.pending[number - 1].get(key)
                if chain is None:
                    continue
                del self.pending[number - 1][key]
                if not self.within(chain, record.time):
                    continue
                if number == last:
                    match = [r.line for r in chain] + [record.line]
                    if match not in done:  # the same events joined under two keys are one match
                        done.append(match)
                else:
                    self.pending[number][key] = chain + [record]
        until = self.rule.until
        if until and fits(until.query, record):
            for key in join_keys(until, record):
                for waiting in self.pending:
                    waiting.pop(key, None)
        return done


def read(lines: list[bytes]) -> tuple[list[Record], list[int]]:
    """The events in time order, and the numbers of the lines that are none."""
    records, malformed = [], []
    for number, line in enumerate(lines):
        if line.startswith(codecs.BOM_UTF8):  # a file may begin with it
            line = line.removeprefix(codecs.BOM_UTF8) if number == 0 else b""
        try:
            records.append(Record(number, line))
        except (ValueError, ArithmeticError):
            malformed.append(number)
    records.sort(key=lambda record: record.time)  # stable: ties by line
    return records, malformed


def replay(rules: dict[str, str], records: list[Record]) -> list[tuple[str, tuple[int, ...]]]:
    """(rule, events) of every match, in the order of the events that complete them, then of the rules."""
    compiled = [(name, parse(text)) for name, text in rules.items()]
    machines = [(name, Machine(rule) if isinstance(rule, Sequence) else rule) for name, rule in compiled]
    matches = []
    for record in records:
        for name, machine in machines:
            if isinstance(machine, Machine):
                matches += [(name, tuple(events)) for events in machine.feed(record)]
            elif fits(machine, record):
                matches.append((name, (record.line,)))
    return matches


def main(query: str, events: str) -> None:
    with open(events, "rb") as stream:
        records, malformed = read(stream.read().removesuffix(b"\n").split(b"\n"))
    with open(query, encoding="utf-8") as stream:
        rules = {query: stream.read()}
    for _, lines in replay(rules, records):
        print(json.dumps({"events": lines}))
    for number in malformed:
        print(f"{events}:{number + 1}: no event", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
