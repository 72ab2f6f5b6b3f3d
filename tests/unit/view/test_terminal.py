"""Output of a command: results to stdout, notes and progress to stderr, values as they are."""

import json

from dask_bake.events import Called, Note, Output, PhaseEnded, PhaseStarted
from dask_bake.hints import command_line
from dask_bake.view.terminal import Terminal
from rendering import a_console, written


def test_values_are_neither_markup_nor_emoji_codes(capsys):
    terminal = Terminal()
    terminal.out.print("[bold]:warning: ami-1")
    terminal.notify(Note("[bold]:warning: ami-2"))

    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("[bold]:warning: ami-1\n", "[bold]:warning: ami-2\n")


def test_json_is_the_only_output_on_stdout(capsys):
    terminal = Terminal()
    terminal.notify(Note("a note"))
    terminal.notify(Output("a line of output"))
    terminal.write_json({"image": "ami-1"})

    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"image": "ami-1"}
    assert printed.err == "a note\na line of output\n"


def test_commands_in_notes_get_the_flags_of_the_user():
    err = a_console()
    Terminal(err=err, flags=("--cloud", "aws")).notify(Note(f"{command_line('down', 'taxi')} ends it"))

    assert written(err) == "dask-bake down taxi --cloud aws ends it\n"


def test_in_a_pipe_a_phase_is_a_line_at_its_start_and_at_its_end():
    err = a_console()
    terminal = Terminal(err=err)
    with terminal.working():
        terminal.notify(PhaseStarted("copy"))
        terminal.notify(PhaseEnded("copy", 1.25))

    assert written(err) == "  copy …\n  copy 1.2 s\n"


def test_while_an_image_bakes_only_finished_phases_and_notes_are_lines():
    err = a_console()
    terminal = Terminal(err=err)
    with terminal.baking():
        terminal.notify(Called("CreateImage"))
        terminal.notify(PhaseStarted("install"))
        terminal.notify(Output("a line of output"))
        terminal.notify(PhaseEnded("install", 61.25))
        terminal.notify(Note("a note"))
    terminal.notify(PhaseEnded("copy", 1.25))

    assert written(err) == "  install                  61.2 s\na note\n  copy 1.2 s\n"
    assert terminal.calls == ["CreateImage"]
