"""Read the user's text and YAML files; every failure is a ``UsageError`` or a ``YAMLError``."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_bake.errors import UsageError
from dask_bake.options.values import truncated

if TYPE_CHECKING:
    import yaml

STRING, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
TYPED = ("int", "float", "bool", "timestamp")
"""YAML's types of plain scalars besides text and null."""
LONG = 64 << 10
"""Characters beyond which libyaml parses a text: it is ten times as fast, and explains errors worse."""
INVALID_VALUE_ERRORS = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""Raised by PyYAML instead of ``YAMLError``: for 2026-13-45, for !!bool x, for a list nested too deeply."""


def read_text(path: Path, flag: str) -> str:
    """Return the text of the file that was given by ``flag``."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{flag} {truncated(str(path))} is not a text file", hint="it must be encoded in UTF-8"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{flag} {truncated(str(path))} cannot be read: {error.strerror}",
            hint="give the path of a file on this machine",
        ) from error


def parse_yaml(text: str | bytes) -> Any:
    """Return the parsed YAML document.

    Raises:
        yaml.YAMLError: if the text is not YAML or contains an invalid value.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if len(text) > LONG else yaml.SafeLoader
    try:
        return yaml.load(text, loader)  # noqa: S506 - both are safe
    except INVALID_VALUE_ERRORS as error:
        raise yaml.YAMLError(f"invalid value: {error}") from error


def parse_texts(text: str | bytes) -> Any:
    """Return the parsed YAML document with numbers, booleans and dates as the texts that the user wrote.

    Raises:
        yaml.YAMLError: if the text is not YAML, or a mapping has a key twice.
    """
    import yaml

    try:
        return yaml.load(text, _texts_loader())  # noqa: S506 - a subclass of SafeLoader
    except INVALID_VALUE_ERRORS as error:
        raise yaml.YAMLError(f"invalid value: {error}") from error


def yaml_problem(error: Exception) -> str:
    """Return a YAML error in one line, with its line number."""
    import yaml

    match error:
        case yaml.reader.ReaderError(encoding="utf-8", position=int(position)):
            return f"byte {position} is not UTF-8"
        case yaml.MarkedYAMLError(problem=str(problem), problem_mark=yaml.Mark(line=line)):
            return f"line {line + 1}: {problem}"
    return " ".join(str(error).split())


def parse_settings(text: str | bytes) -> Any:
    """Return the parsed YAML document, with keys and values as the user wrote them.

    YAML 1.1 makes 750 of ``12:30``, another number of ``0123``, 1.1 of ``1.10`` and true of ``on``. Here a
    number or boolean is one only if it is written as Python or JSON would write it; anything else is text.

    Raises:
        yaml.YAMLError: if the text is not YAML.
    """
    import yaml

    try:
        return yaml.load(text, _settings_loader())  # noqa: S506 - a subclass of SafeLoader
    except INVALID_VALUE_ERRORS as error:
        raise yaml.YAMLError(f"invalid value: {error}") from error


def keys_that_are_no_text(text: str | bytes) -> Iterator[tuple[str, int]]:
    """Yield each key that YAML 1.1 does not read as text, such as ``on`` or ``8080``, and its line.

    Raises:
        yaml.YAMLError: if the text is not YAML.
    """
    import yaml

    try:
        nodes = [yaml.compose(text, yaml.SafeLoader)]
    except INVALID_VALUE_ERRORS as error:
        raise yaml.YAMLError(f"invalid value: {error}") from error
    seen: set[int] = set()  # an alias can lead to a node again
    for node in nodes:  # grows
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.tag not in (STRING, MERGE):
                    yield str(key.value), key.start_mark.line + 1
                nodes.append(value)
        elif isinstance(node, yaml.SequenceNode):
            nodes.extend(node.value)


@cache
def _settings_loader() -> "type[yaml.SafeLoader]":
    import yaml

    class SettingsLoader(yaml.SafeLoader):
        """Loader of scalars as they are written."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                    key.tag = STRING
            return super().construct_mapping(node, deep)

        def construct_as_written(self, node: Any) -> Any:
            written = self.construct_scalar(node)
            if written in ("true", "false"):
                return written == "true"
            for kind in (int, float):
                try:
                    if str(kind(written)) == written:
                        return kind(written)
                except ValueError:
                    continue
            return written

    for kind in TYPED:
        SettingsLoader.add_constructor(f"tag:yaml.org,2002:{kind}", SettingsLoader.construct_as_written)
    return SettingsLoader


@cache
def _texts_loader() -> "type[yaml.SafeLoader]":
    import yaml

    class TextsLoader(yaml.SafeLoader):
        """Loader of texts, lists, mappings without duplicate keys, and null."""

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                    if key.value in seen:
                        raise yaml.MarkedYAMLError(
                            problem=f"the key {key.value} is there twice", problem_mark=key.start_mark
                        )
                    seen.add(key.value)
            return node

        def construct_text(self, node: Any) -> Any:
            return self.construct_scalar(node)

    for kind in TYPED:
        TextsLoader.add_constructor(f"tag:yaml.org,2002:{kind}", TextsLoader.construct_text)
    return TextsLoader
