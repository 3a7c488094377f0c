"""Logs are one JSON object a line, carry the correlation id, and hide secrets."""

import contextlib
import io
import json
import logging

import pytest
import structlog

from millpond.ops.config.settings import LogSettings
from millpond.ops.logs import set_up_logs


@pytest.fixture
def stream():
    """A place to log to; the process's logging is put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_events_are_json_with_the_correlation_id(stream: io.StringIO):
    set_up_logs(LogSettings(format="json"), "edge", stream=stream)
    with structlog.contextvars.bound_contextvars(correlation_id="i-1"):
        structlog.get_logger().info("intent_sent", txid="ab")
    logging.getLogger("foreign").warning("from elsewhere")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["event"] == "intent_sent"
    assert (first["correlation_id"], first["txid"], first["part"]) == ("i-1", "ab", "edge")
    assert second["event"] == "from elsewhere"
    assert second["level"] == "warning"


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_hidden_however_deep(stream: io.StringIO, form: str):
    set_up_logs(LogSettings(format=form), "api", stream=stream)  # type: ignore[arg-type]
    structlog.get_logger().warning(
        "x",
        password="hush1",
        daemon={"url": "http://rpc:hush2@host:1", "rpc_password": "hush3"},
        tried=["postgresql://u:hush4@db/x"],
        authorization="Bearer hush5",
    )
    logging.getLogger("foreign").warning("cannot reach http://rpc:hush6@host")
    assert "hush" not in stream.getvalue()
    assert stream.getvalue().count("<hidden>") == 6


def test_less_urgent_events_are_left_out(stream: io.StringIO):
    set_up_logs(LogSettings(format="json", level="warning"), "api", stream=stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("foreign").info("quiet")
    assert stream.getvalue() == ""


def test_in_files_everything_is_kept_and_only_warnings_are_shown(stream: io.StringIO, tmp_path):
    set_up_logs(LogSettings(format="json", to="files"), "api", log_dir=tmp_path, stream=stream)
    structlog.get_logger().info("calm")
    structlog.get_logger().warning("alarming")
    for handler in logging.getLogger().handlers:
        handler.close()
    kept = (tmp_path / "api.log").read_text()
    assert "calm" in kept
    assert "alarming" in kept
    assert "calm" not in stream.getvalue()
    assert "alarming" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(stream: io.StringIO, form: str):
    set_up_logs(LogSettings(format=form), "edge", stream=stream)  # type: ignore[arg-type]
    secret = bytes.fromhex("62617474657279").decode()

    def fail(phrase: str) -> None:
        words = [phrase]
        raise RuntimeError(f"{len(words)} words")

    try:
        fail(secret)
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert "1 words" in stream.getvalue()
    assert secret not in stream.getvalue()


def test_what_is_nested_too_deep_to_look_through_is_hidden(stream: io.StringIO):
    set_up_logs(LogSettings(format="json"), "edge", stream=stream)
    deep: object = {"password": "hush"}
    for _ in range(10):
        deep = {"more": deep}
    structlog.get_logger().info("deep", facts=deep)
    assert "hush" not in stream.getvalue()


def test_a_full_disk_gives_no_stack_traces(stream, tmp_path, capfd):
    (tmp_path / "edge.log").symlink_to("/dev/full")
    set_up_logs(LogSettings(to="files"), "edge", log_dir=tmp_path, stream=stream)
    structlog.get_logger().warning("the disk is full")
    assert "the disk is full" in stream.getvalue()
    assert capfd.readouterr().err == ""
    for handler in logging.getLogger().handlers:
        with contextlib.suppress(OSError):
            handler.close()
