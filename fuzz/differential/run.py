"""Gives the same streams to three readers and classifies where ours differs from the others: see README.md."""

import argparse
import collections
import concurrent.futures
import json
import struct
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import compare
import predicates
import streams

HERE = Path(__file__).parent
BATCH = 2000
SHOWN_MAX = 4000
"""Characters of a line that shows a stream or a view."""


def load_classes():
    """The table, with a predicate for each class and a class for each predicate."""
    classes = tomllib.loads((HERE / "classes.toml").read_text())["class"]
    names = [entry["name"] for entry in classes]
    written = {name.replace("_", "-") for name in vars(predicates) if name.startswith(("we_", "they_", "both_"))}
    if len(set(names)) != len(names) or set(names) != written:
        sys.exit(f"classes.toml and predicates.py differ: {sorted(set(names) ^ written)}")
    for entry in classes:
        entry["predicate"] = getattr(predicates, entry["name"].replace("-", "_"))
        for key in ("readers", "strict", "rule", "why"):
            if not entry[key]:
                sys.exit(f"class {entry['name']} has no {key}")
    return classes


def views_of(command, data):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def read_batch(commands, side, seed, first, count):
    made = [streams.stream(side, seed, number) for number in range(first, first + count)]
    data = b"".join(struct.pack("<Ic", len(stream), role) + stream for role, stream in made)
    views = {name: views_of(command, data) for name, command in commands.items()}
    for name, lines in views.items():
        if len(lines) != count:
            raise RuntimeError(f"{name}: {len(lines)} views of {count} streams")
    return made, views


def class_of(classes, reader, difference):
    for entry in classes:
        if reader in entry["readers"] and entry["predicate"](difference):
            return entry["name"]
    return None


def show(stream, role, views, title):
    print(f"\n{title}")
    print(f"  stream ({role.decode()}) {stream!r}"[:SHOWN_MAX])
    for name, view in views.items():
        print(f"  {name:7} {json.dumps(view)[:SHOWN_MAX]}")


class Tally:
    def __init__(self, classes):
        self.classes = classes
        self.counts = collections.Counter()
        self.examples = {}
        self.unclassified = 0
        self.broken = 0
        self.agreed = collections.Counter()
        self.accepted = 0

    def judge(self, number, role, stream, views, shown):
        ours = views["onloop"]
        if "broken" in ours:
            self.broken += 1
            show(stream, role, views, f"BROKEN #{number}: {ours['broken']}")
        self.accepted += ours["end"] not in ("refused", "cut")
        for reader in ("h11", "llhttp"):
            difference = compare.difference_of(role.decode(), stream, ours, views[reader])
            if difference is None:
                self.agreed[reader] += 1
                continue
            name = class_of(self.classes, reader, difference)
            if name is None:
                self.unclassified += 1
                if self.unclassified <= shown:
                    show(stream, role, views, f"UNCLASSIFIED #{number} {reader}: {difference.kind} at {difference.at}")
                continue
            self.counts[name, reader] += 1
            example = self.examples.get((name, reader))
            if example is None or len(stream) < len(example[0]):
                self.examples[name, reader] = (stream, role, views)


def table(tallies):
    print("\n| class | strict | reader | " + " | ".join(tallies) + " |")
    print("|---|---|---|" + "---:|" * len(tallies))
    any_tally = next(iter(tallies.values()))
    for entry in any_tally.classes:
        for reader in entry["readers"]:
            counts = [str(tally.counts[entry["name"], reader]) for tally in tallies.values()]
            if any(count != "0" for count in counts):
                print(f"| {entry['name']} | {entry['strict']} | {reader} | {' | '.join(counts)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="the program that shows our view")
    parser.add_argument("--node", default="node")
    parser.add_argument("--streams", type=int, default=20_000, help="streams for each side")
    parser.add_argument("--first", type=int, default=0, help="the number of the first stream")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--sides", nargs="+", default=["server", "client"], choices=["server", "client"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--shown", type=int, default=10, help="unclassified disagreements that are printed")
    parser.add_argument("--example", help="print the shortest stream of this class, or of each with `all`")
    options = parser.parse_args()
    classes = load_classes()
    commands = {
        "onloop": [options.ours],
        "h11": [sys.executable, str(HERE / "read_h11.py")],
        "llhttp": [options.node, str(HERE / "read_llhttp.js")],
    }
    for name in ("h11", "llhttp"):
        print(
            subprocess.run(commands[name] + ["--version"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        )
    tallies = {}
    for side in options.sides:
        tallies[side] = run_side(commands, classes, side, options)
    table(tallies)
    for tally in tallies.values():
        for (name, reader), (stream, role, views) in sorted(tally.examples.items()):
            if options.example in ("all", name):
                show(stream, role, {"onloop": views["onloop"], reader: views[reader]}, name)
    failures = sum(tally.unclassified + tally.broken for tally in tallies.values())
    if failures:
        sys.exit(f"\n{failures} disagreements of no known class, or broken promises")


def run_side(commands, classes, side, options):
    tally, started = Tally(classes), time.monotonic()
    firsts = range(options.first, options.first + options.streams, BATCH)
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        batches = {}
        for first in firsts:
            count = min(BATCH, options.first + options.streams - first)
            batches[first] = pool.submit(read_batch, commands, side, options.seed, first, count)
        for first in firsts:
            made, views = batches.pop(first).result()
            for at, (role, stream) in enumerate(made):
                seen = {name: lines[at] for name, lines in views.items()}
                tally.judge(first + at, role, stream, seen, options.shown)
    agreed = ", ".join(f"{tally.agreed[reader]} as {reader}" for reader in ("h11", "llhttp"))
    print(
        f"{side}: {options.streams} streams of seed {options.seed} in {time.monotonic() - started:.0f} s; "
        f"{tally.accepted} accepted to the end; read {agreed}; "
        f"{tally.unclassified} unclassified, {tally.broken} broken"
    )
    return tally


if __name__ == "__main__":
    main()
