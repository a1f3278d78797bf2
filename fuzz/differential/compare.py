"""Where two readers part: the first difference between our view of a stream and another's."""

from dataclasses import dataclass


@dataclass
class Difference:
    """`kind` says who is the strict one:

    - `we-refuse`: at this point ours refuses and the other goes on;
    - `they-refuse`: the other refuses and ours goes on;
    - `boundary`: none refuses, and they do not agree where messages end or begin;
    - `content`, `fields`, `start`, `trailers`, `information`: the same message, read differently;
    - `persistence`: the same messages, and only one of them would read another behind them.
    """

    kind: str
    at: int
    """The number of the message."""
    role: str
    stream: bytes
    ours: dict
    theirs: dict

    @property
    def message(self):
        """The message that they differ about, as whoever has it sees it."""
        for view in (self.ours, self.theirs):
            if self.at < len(view["messages"]):
                return view["messages"][self.at]
        return None


def plain(fields):
    """Names in one case, values without outer white space, and codings, which h11 gives in lower case."""
    lines = []
    for name, value in fields:
        name, value = name.lower(), value.strip(" \t")
        lines.append((name, value.lower() if name == "transfer-encoding" else value))
    return lines


def kind_of_end(ours, theirs):
    if ours["end"] == theirs["end"]:
        return None
    if "closed" in (ours["end"], theirs["end"]):
        # Behind the last message that both have, one reads on, to whatever end.
        return "persistence"
    if ours["end"] == "refused":
        return "we-refuse"
    if theirs["end"] == "refused":
        return "they-refuse"
    return "boundary"


def difference_of(role, stream, ours, theirs):
    """The first difference; `None` where both say the same."""
    found = find(ours, theirs)
    if found is None:
        return None
    return Difference(found[0], found[1], role, stream, ours, theirs)


def find(ours, theirs):
    information = min(len(ours["information"]), len(theirs["information"]))
    if ours["information"][:information] != theirs["information"][:information]:
        return "information", 0
    if len(ours["information"]) != len(theirs["information"]):
        return shorter(ours, theirs, len(ours["information"]) < len(theirs["information"])), 0
    for at in range(max(len(ours["messages"]), len(theirs["messages"]))):
        if at >= len(ours["messages"]):
            return shorter(ours, theirs, True), at
        if at >= len(theirs["messages"]):
            return shorter(ours, theirs, False), at
        kind = difference_of_messages(ours, theirs, ours["messages"][at], theirs["messages"][at])
        if kind:
            return kind, at
    kind = kind_of_end(ours, theirs)
    if kind is None:
        return None
    last = len(ours["messages"]) - 1
    # A refusal behind a whole message is one of the next.
    is_behind = kind in ("we-refuse", "they-refuse") and last >= 0 and ours["messages"][last]["done"]
    return kind, max(0, last + is_behind)


def shorter(ours, theirs, ours_is_shorter):
    """One view ends where the other goes on."""
    if ours_is_shorter:
        return "we-refuse" if ours["end"] == "refused" else "persistence" if ours["end"] == "closed" else "boundary"
    return "they-refuse" if theirs["end"] == "refused" else "persistence" if theirs["end"] == "closed" else "boundary"


def difference_of_messages(ours, theirs, a, b):
    if a["start"] != b["start"] or a["minor"] != b["minor"] or "major" in b:
        return "start"
    if plain(a["fields"]) != plain(b["fields"]):
        return "fields"
    if a["done"] and b["done"]:
        if a["content"] != b["content"]:
            return "content"
        return None if plain(a["trailers"]) == plain(b["trailers"]) else "trailers"
    shorter_length = min(len(a["content"]), len(b["content"]))
    if a["content"][:shorter_length] != b["content"][:shorter_length]:
        return "content"
    if a["done"] != b["done"]:
        # Whoever has not finished it has ended within it.
        ended = theirs if a["done"] else ours
        if ended["end"] == "refused":
            return "they-refuse" if a["done"] else "we-refuse"
        return "boundary"
    return None
