"""Packer's machine-readable output: phases, the image's id, and the reason of a failure."""

import pytest

from dask_bake.bake.packer.output import Line, Progress, parse
from dask_bake.events import Output, Phases, PhaseStarted


class Seen:
    """Progress of a build, with the events that it sends."""

    def __init__(self):
        self.events = []
        self.progress = Progress(Phases(self.events.append, lambda: 0.0), self.events.append)

    def say(self, text, kind="say"):
        self.progress.see(f"1,,ui,{kind},{text}")

    @property
    def phases(self):
        return [event.phase for event in self.events if isinstance(event, PhaseStarted)]

    @property
    def lines(self):
        return [event.line for event in self.events if isinstance(event, Output)]


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ("1,,ui,say,one%!(PACKER_COMMA) two\\nthree", Line("say", "one, two\nthree")),
        ("1,,ui,message,a,b", Line("message", "a,b")),
        ("1,amazon-ebs.dask,artifact,0,id,us-east-1:ami-1", Line("artifact", "0,id,us-east-1:ami-1")),
        ("panic: runtime error, in go\n", Line("message", "panic: runtime error, in go")),
        ("", Line("message", "")),
    ],
)
def test_a_record_has_a_kind_and_a_text_and_anything_else_is_a_message(record, line):
    assert parse(record) == line


def test_the_image_id_is_that_of_the_artifact():
    seen = Seen()
    seen.progress.see("1,amazon-ebs.dask,artifact,0,builder-id,mitchellh.amazonebs")
    assert seen.progress.image_id is None

    seen.progress.see("1,amazon-ebs.dask,artifact,0,id,us-east-1:ami-1")
    assert seen.progress.image_id == "ami-1"


def test_phases_follow_from_what_packer_says_and_from_the_marks_of_scripts():
    seen = Seen()
    seen.say("==> amazon-ebs.dask: Waiting for SSH to become available...")
    seen.say("==> amazon-ebs.dask: Provisioning with shell script: /stage/scripts/30-wheels.sh")
    seen.say("    amazon-ebs.dask: PHASE: wheels", kind="message")
    seen.say("==> amazon-ebs.dask: Stopping the source instance...")

    assert seen.phases == ["boot", "wheels", "snapshot"]
    assert not any("PHASE" in line for line in seen.lines)


def test_the_reason_is_that_of_the_failed_build_and_the_lines_end_before_the_clean_up():
    seen = Seen()
    seen.say("==> amazon-ebs.dask: Provisioning with shell script: /stage/scripts/80-check.sh")
    seen.say("    amazon-ebs.dask: check: a unit is invalid", kind="message")
    seen.say("==> amazon-ebs.dask: Terminating the source AWS instance...")
    seen.say("==> amazon-ebs.dask: Deleting temporary files")
    seen.say("Build 'amazon-ebs.dask' errored after 9 s: Script exited with 1\\nmore", kind="error")

    assert (seen.progress.step, seen.progress.reason) == ("80-check.sh", "Script exited with 1")
    assert seen.progress.last_lines == (
        "Provisioning with shell script: /stage/scripts/80-check.sh",
        "check: a unit is invalid",
    )


def test_a_build_that_the_user_cancels_is_known():
    seen = Seen()
    assert not seen.progress.cancelled
    seen.say("Cancelling build after receiving interrupt", kind="error")

    assert seen.progress.cancelled
