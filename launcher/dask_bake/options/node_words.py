"""Arguments that name a cluster and nodes of it: ``taxi``, ``3``, ``taxi 1-4,7``."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dask_bake.errors import UsageError
from dask_bake.options.values import quoted

RANGE = re.compile(r"([0-9]{1,6})(-?)([0-9]{0,6})")
HINT = "a cluster's name starts with a letter; nodes are numbers: 3, or 1-4,7"


@dataclass(frozen=True)
class NodeNumbers:
    """Numbers of nodes, as ranges of a first and a last number; ``None`` is the last node that there is."""

    ranges: tuple[tuple[int, int | None], ...]

    def __contains__(self, index: int) -> bool:
        return any(first <= index and (last is None or index <= last) for first, last in self.ranges)

    def missing(self, there: Iterable[int]) -> tuple[int, ...]:
        """Return the first of the numbers that are named and not there, at most ten."""
        known = set(there)
        ends = (range(first, (first if last is None else last) + 1) for first, last in self.ranges)
        absent = (index for numbers in ends for index in numbers if index not in known)
        found: dict[int, None] = {}
        for index in absent:
            found[index] = None
            if len(found) == 10:
                break
        return tuple(found)


def node_numbers(text: str, origin: str) -> NodeNumbers:
    """Parse numbers of nodes: ``3``, ``1-4,7``; ``1-`` is node 1 and all after it."""
    found = []
    for part in text.split(","):
        match = RANGE.fullmatch(part)
        if match is None or (match[3] and (not match[2] or int(match[3]) < int(match[1]))):
            raise UsageError(f"{origin} must be numbers of nodes, not {quoted(text)}", hint=HINT)
        last = None if match[2] and not match[3] else int(match[3] or match[1])
        found.append((int(match[1]), last))
    return NodeNumbers(tuple(found))


def node_number(text: str, origin: str) -> int:
    """Parse the number of one node."""
    numbers = node_numbers(text, origin)
    (first, last) = numbers.ranges[0]
    if len(numbers.ranges) > 1 or first != last:
        raise UsageError(f"{origin} must be one node, not {quoted(text)}", hint="give its number, such as 3")
    return first


def split_words(words: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the cluster's name and the text for nodes among ``[NAME] [NODE]``: nodes begin with a digit.

    Raises:
        UsageError: if they are more than these two, or in another order.
    """
    name = next(iter(words), None)
    if name is None or name[:1].isdigit():
        words = ("", *words)
        name = None
    if len(words) > 2 or (len(words) == 2 and not words[1][:1].isdigit()):
        wrong = words[-1] if len(words) > 2 else words[1]
        raise UsageError(f"{quoted(wrong)} is one argument too many, or no node", hint=HINT)
    return name, words[1] if len(words) == 2 else None


def one_name(word: str | None, option: str | None) -> str | None:
    """Return the cluster's name, given as the first word or by ``--name``, or by both if they agree."""
    if word is not None and option is not None and word != option:
        raise UsageError(f"the name is given twice: {quoted(word)} and {quoted(option)}", hint="give it once")
    return option if word is None else word
