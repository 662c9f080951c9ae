#!/usr/bin/python3
"""A table of the gateway's request events, for people: show_events.py EVENTS.ndjson"""

from __future__ import annotations

import json
import os
import sys

COLUMNS = ("MODE", "USER", "PROCESS", "PARENT", "ASKED FOR", "VERDICT", "STATUS", "WHY")
COLOURS = {"allow": "\033[32m", "ALERT": "\033[33m", "BLOCKED": "\033[31m"}


def at(event: dict, path: str, default: object = None):
    for name in path.split("."):
        event = event.get(name, default) if isinstance(event, dict) else default
    return event


def row(event: dict) -> tuple[str, ...]:
    user = at(event, "user.name") or at(event, "user.id") or "?"
    asked = f"{at(event, 'http.request.method', '?')} {at(event, 'url.path') or at(event, 'url.original') or '?'}"
    grant, reason = at(event, "imdsgate.grant"), at(event, "imdsgate.reason")
    why = f"granted: {grant}" if grant else reason or "nothing speaks against it"
    if at(event, "imdsgate.rule_match") == "sibling":
        why += " (by a sibling's exec)"
    verdict, action = at(event, "imdsgate.verdict", "?"), at(event, "imdsgate.action", "?")
    shown = "BLOCKED" if action == "block" else "allow" if verdict == "allow" else "ALERT"
    return (at(event, "imdsgate.mode", "?"), user, at(event, "process.executable", "unattributed"),
            at(event, "process.parent.name", "-"), asked.replace("/latest/meta-data/iam/security-credentials/", "…/security-credentials/"),
            shown, str(at(event, "http.response.status_code", "-")), why)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    events = [event for event in events if at(event, "event.kind") == "event" and at(event, "event.action") == "metadata_request"]
    rows = [COLUMNS, *map(row, events)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(COLUMNS))]
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    mode = None
    for number, cells in enumerate(rows):
        if number and cells[0] != mode:
            mode = cells[0]
            print("  ".join("─" * width for width in widths))
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
        code = COLOURS.get(cells[5], "")
        print(f"{code}{line}\033[0m" if colour and number else line)


if __name__ == "__main__":
    main()
