"""What a host's robots.txt allows (RFC 9309): the longest rule that fits decides, with `*` and `$`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_PRODUCT = re.compile(r"[a-z_-]+")
_ESCAPED = re.compile(r"%([0-9a-fA-F]{2})")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_EVERYONE = "*"


@dataclass(frozen=True)
class Rule:
    """A line `Allow` or `Disallow`.

    Attributes:
        path: Where it holds, in one spelling: `*` stands for anything, `$` at the end for the end of the address.
        is_allowed: Whether it allows.
    """

    path: str
    is_allowed: bool

    def fits(self, place: str) -> bool:
        """Whether an address's path and query, in the same spelling, begin as the rule says.

        Pieces between `*` are looked for from the left, so that no rule takes long whatever it is made of.
        """
        is_whole = self.path.endswith("$")
        first, *others = self.path.removesuffix("$").split("*")
        if not place.startswith(first):
            return False
        if is_whole and not others:
            return place == first
        at = len(first)
        for piece in others[:-1] if is_whole else others:
            found = place.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return not is_whole or (len(place) - len(others[-1]) >= at and place.endswith(others[-1]))


@dataclass(frozen=True)
class Robots:
    """The rules that hold for one agent.

    Attributes:
        rules: In the order in which they stand.
        delay_seconds: What `Crawl-delay` asks to wait between two requests; None where it asks for nothing. It is not
            part of the RFC, but much used.
    """

    rules: tuple[Rule, ...] = ()
    delay_seconds: float | None = None

    @classmethod
    def read(cls, text: str, agent: str) -> Self:
        """Read a file; lines that are none of its language are skipped, as the RFC wants it.

        The groups that name the agent hold together; where none does, those for `*`.

        Args:
            text: The file.
            agent: The product's name, without a version.
        """
        groups = list(_groups(text))
        own = [lines for agents, lines in groups if agent.lower() in agents]
        lines = [line for group in own or [lines for agents, lines in groups if _EVERYONE in agents] for line in group]
        rules = tuple(Rule(_spelled(value), key == "allow") for key, value in lines if key != "crawl-delay" and value)
        delays = [seconds for key, value in lines if key == "crawl-delay" and (seconds := _seconds(value)) is not None]
        return cls(rules, max(delays, default=None))

    def allows(self, url: str) -> bool:
        """Whether a URL may be asked for: the longest rule that fits says so, of equal ones an `Allow`."""
        parts = urlsplit(url)
        place = _spelled((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        fitting = [(len(rule.path), rule.is_allowed) for rule in self.rules if rule.fits(place)]
        return place == "/robots.txt" or max(fitting, default=(0, True))[1]


def _groups(text: str) -> Iterator[tuple[set[str], Sequence[tuple[str, str]]]]:
    """Whom each group of lines is for, and its lines as pairs of a key in lower case and a value."""
    agents: set[str] = set()
    lines: list[tuple[str, str]] = []
    for line in text.splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            if lines:
                yield agents, lines
                agents, lines = set(), []
            agents.add(_product(value))
        elif key in ("allow", "disallow", "crawl-delay") and agents:
            # A group ends at the next agent once it has a line, be it an empty one, which allows everything.
            lines.append((key, value))
    yield agents, lines


def _product(value: str) -> str:
    """The name without version or comment, in lower case; "*" for everyone."""
    if value.startswith(_EVERYONE):
        return _EVERYONE
    found = _PRODUCT.match(value.lower())
    return "" if found is None else found[0]


def _spelled(place: str) -> str:
    """One spelling of a path: no needless percent signs, all needed ones, their digits in upper case."""

    def respelled(found: re.Match[str]) -> str:
        letter = chr(int(found[1], 16))
        return letter if _UNRESERVED.fullmatch(letter) else found[0].upper()

    escaped = _BEYOND_ASCII.sub(
        lambda one: "".join(f"%{byte:02X}" for byte in one[0].encode("utf-8", "replace")), place
    )
    return _ESCAPED.sub(respelled, escaped)


def _seconds(value: str) -> float | None:
    return float(value) if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", value, re.ASCII) else None
