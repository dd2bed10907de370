"""Names of machines and the browser, from the command line."""

import json
import webbrowser

import pytest

from breakeven.cli import main
from breakeven.commands import browser
from breakeven.commands.browser import open_page, why_not
from support.reports import box
from support.run_files import affine_run, write


@pytest.fixture
def two(tmp_path):
    """The paths of the runs of two machines."""
    return [
        write(tmp_path / f"{name}.json", affine_run({"cpu": (1, 1)}, [1, 8], seed, machine=box(cpu)))
        for seed, (name, cpu) in enumerate((("a", "EPYC"), ("b", "Xeon")))
    ]


def test_labels(two, capsys):
    """They are in the JSON, and name the machine of the baseline."""
    options = ["--label", "a.json=laptop", "--label", f"{two[1]}=server", "--baseline", "laptop/cpu"]
    assert main(["report", *two, *options, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machines"] == [
        {"label": "laptop", "class_id": "id-EPYC", "hardware": "EPYC"},
        {"label": "server", "class_id": "id-Xeon", "hardware": "Xeon"},
    ]
    assert {(row["baseline_machine"], row["candidate_machine"]) for row in found["speedup"]} == {
        ("laptop", "server")
    }


@pytest.mark.parametrize("text", ["a.json", "a.json=", "=laptop", "a.json= ", "a.json=a/b", "a.json=a\tb"])
def test_label_that_is_none(two, text, capsys):
    """A name is not empty, and has no slash, which ends it in --baseline."""
    assert main(["report", *two, "--label", text]) == 2
    message = capsys.readouterr().err
    assert f"argument --label: {text!r} is not FILE=NAME" in message
    assert message.count("\n") == 1


@pytest.fixture
def opened(monkeypatch):
    """The URLs that were opened, on a machine that has a display."""
    urls = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    monkeypatch.setattr(browser, "why_not", lambda *_: None)
    return urls


@pytest.mark.parametrize("form", ["terminal", "csv"])
def test_open(two, opened, form, tmp_path):
    """The page is opened, whatever standard output is."""
    assert main(["report", *two, "-o", str(tmp_path / "out"), "--open", "--format", form]) == 0
    assert opened == [(tmp_path / "out" / "index.html").as_uri()]


def test_not_opened(two, opened, tmp_path):
    assert main(["report", *two, "-o", str(tmp_path / "out")]) == 0
    assert opened == []


def test_open_without_a_page(two, opened, capsys):
    """JSON alone writes no page."""
    assert main(["report", *two, "--open", "--format", "json"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, opened) == ("", [])
    assert "--open needs the page, and --format json writes none" in printed.err


def fail(_):
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize(
    ("environment", "opener", "reason"),
    [
        ({"SSH_CONNECTION": "10.0.0.2 22"}, lambda _: True, "this is an SSH session"),
        ({"BROWSER": "lynx"}, lambda _: False, "no browser was found"),
        ({"BROWSER": "lynx"}, fail, "could not locate runnable browser"),
        ({"BROWSER": "lynx"}, lambda _: True, None),
    ],
)
def test_no_browser(environment, opener, reason, tmp_path, monkeypatch, capsys):
    """The page's path is printed, with why."""
    for name in ("SSH_CONNECTION", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    page = tmp_path / "index.html"
    open_page(page, opener)
    printed = capsys.readouterr().err
    message = f"the page was not opened: {reason}; copy it to where there is a browser: {page}\n"
    assert printed == ("" if reason is None else f"breakeven: {message}")


def test_wayland_is_a_display():
    assert why_not({"WAYLAND_DISPLAY": "wayland-0"}, "linux") is None
