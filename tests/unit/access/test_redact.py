"""Secrets in logs."""

import pytest

from dask_bake.access.redact import STRUCK_OUT, redact

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"aws_access_key_id = {KEY_ID}", KEY_ID),
        (f"export AWS_SECRET_ACCESS_KEY='{SECRET}'", SECRET),
        (f"the key is {SECRET}, as it happens", SECRET),
        ('{"SessionToken": "IQoJb3JpZ2luX2VjEJr"}', "IQoJb3JpZ2luX2VjEJr"),
        ("http://127.0.0.1:8888/lab?token=0123456789abcdef", "0123456789abcdef"),
        ("X-Amz-Signature=deadbeefcafe&x=1", "deadbeefcafe"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("password: hunter22", "hunter22"),
        ("index-url https://anna:s3cret@example.com/simple", "s3cret"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "dozjgNryP4J3"),
        ("ghp_" + "a" * 36, "a" * 36),
        (f"before\n{PEM}\nafter", "b3BlbnNzaC1rZXk"),
        (f"cut off\n{PEM[:60]}", "b3Blbn"),
        ("x " + "aB3" * 60, "aB3aB3"),
    ],
)
def test_it_is_struck_out(text, secret):
    assert secret in text
    found = redact(text)
    assert secret not in found
    assert STRUCK_OUT in found


def test_the_rest_of_a_key_s_neighbourhood_stays():
    assert redact(f"before\n{PEM}\nafter") == f"before\n{STRUCK_OUT}\nafter"


@pytest.mark.parametrize(
    "text",
    [
        "commit 0123456789abcdef0123456789abcdef01234567",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHost root@head",
        "distributed.worker - INFO - Registered to: tcp://10.0.0.4:8786",
        "/opt/dask/lib/python3.11/site-packages/distributed/deploy/adaptive_core.py",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text
