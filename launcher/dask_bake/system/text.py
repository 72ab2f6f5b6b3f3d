"""Text of others, such as tags, names and consoles, made safe to print on a terminal."""

import unicodedata

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that control a terminal, or that hide or reorder the text around them.

They are control characters (C0, DEL, C1), bidirectional and zero-width ones, surrogates, and line separators.
"""
REPLACEMENT = "?"


def is_safe(character: str) -> bool:
    """Return whether a character is shown as itself, in its place."""
    return unicodedata.category(character) not in UNSAFE


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return the text with a question mark for each unsafe character, except for those in ``keep``."""
    if text.isprintable():
        return text
    return "".join(each if each in keep or is_safe(each) else REPLACEMENT for each in text)
