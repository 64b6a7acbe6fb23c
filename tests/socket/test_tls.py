"""``load``, ``capture`` and ``conform`` over https, with a header for a proxy that wants a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyfarm.testing.child import run_farm
from tests.support.commands import ENVIRONMENT, comfyfarm
from tests.support.tls import TOKEN, certificate, tls_in_front_of

HEADER = ("--header", f"Authorization: {TOKEN}")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pem = certificate(tmp_path_factory.mktemp("tls"))
    config = {"instance": [{"mode": "dynamic"}]}
    with pytest.MonkeyPatch.context() as patch, run_farm(config) as farm, tls_in_front_of(farm.url, pem) as secured:
        patch.setitem(ENVIRONMENT, "SSL_CERT_FILE", str(pem))
        yield secured


def test_load_is_sent_and_followed(url: str) -> None:
    """Also on the websocket: only it says when a job started."""
    done = comfyfarm("load", url, "--jobs", "2", "--json", *HEADER)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["delivered"], facts["figures"]["ran"]["jobs"]) == (2, 2)


def test_a_server_is_captured(url: str, tmp_path: Path) -> None:
    done = comfyfarm("capture", url, "-o", str(tmp_path / "box"), *HEADER)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "box" / "object_info.json").exists()


def test_a_server_is_judged(url: str) -> None:
    """With a websocket."""
    done = comfyfarm("conform", url, "--only", "features", *HEADER)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "score: 1/1 (100.0 %)" in done.stdout


@pytest.mark.parametrize("words", [("load", "--jobs", "1"), ("capture", "-o", "box"), ("conform",)])
def test_without_the_header_nothing_is_done(url: str, words: tuple[str, ...], tmp_path: Path) -> None:
    """One line, and status 2."""
    done = comfyfarm(*words, url, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"comfyfarm {words[0]}: {url}: ")
    assert done.stderr.count("\n") == 1


def test_a_certificate_of_nobody_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ENVIRONMENT, "SSL_CERT_FILE")
    for words in (("load", url), ("capture", url, "-o", "box")):
        done = comfyfarm(*words, *HEADER)
        assert done.returncode == 2
        assert "certificate verify failed" in done.stderr


def test_a_header_without_a_name_is_refused() -> None:
    done = comfyfarm("load", "--header", "secret")
    assert done.returncode == 2
    assert "expected something like 'Authorization: Bearer ...', got 'secret'" in done.stderr
