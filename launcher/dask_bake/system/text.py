"""Text of others, such as tags, names and consoles, made safe to print on a terminal."""

import re
import unicodedata

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that control a terminal, or that hide or reorder the text around them.

They are control characters (C0, DEL, C1), bidirectional and zero-width ones, surrogates, and line separators.
"""
INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Fillers, variation selectors and tags, which are shown as nothing: the rest of Unicode's property
Default_Ignorable_Code_Point."""
REPLACEMENT = "?"


def is_safe(character: str) -> bool:
    """Return whether a character is shown as itself, in its place."""
    return unicodedata.category(character) not in UNSAFE and not INVISIBLE.match(character)


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return the text with a question mark for each unsafe character, except for those in ``keep``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in keep or is_safe(each) else REPLACEMENT for each in text)
