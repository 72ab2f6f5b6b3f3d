"""The name of this machine's user."""

import os

import pytest

from dask_bake.system.user import login_name, user_at_host


@pytest.fixture
def login(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize(("uid", "name"), [(0, "anna"), (1000, "root")])
def test_root_by_sudo_is_the_user_who_called_it(login, monkeypatch, uid, name):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    login("LOGNAME", "root")
    login("SUDO_USER", "anna")

    assert login_name() == name


def test_a_user_without_an_entry_has_no_name(login, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)

    assert (login_name(), user_at_host()) == ("", "")


def test_the_host_is_named_without_its_domain(login, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "laptop.example.com")
    login("LOGNAME", "anna")

    assert user_at_host() == "anna@laptop"
