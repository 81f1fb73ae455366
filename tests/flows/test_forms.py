"""The form of a run, as Prefect's pages make it of the flow, and how its failure is logged."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from lazsl_flows import attempts
from lazsl_flows.label import label_archive
from prefect.engine import handle_engine_signals
from prefect.exceptions import FailedRun
from prefect.utilities.callables import parameter_schema

from lazsl.errors import UserError
from lazsl.settings import Job, make_job


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return parameter_schema(label_archive).model_dump(mode="json", exclude_none=True)


def test_what_most_people_set_comes_first_and_no_field_asks_for_a_type(
    schema: dict[str, Any],
) -> None:
    fields = schema["definitions"]["Job"]["properties"]
    assert list(fields)[:5] == ["archive", "labels", "model", "preset", "truth"]
    assert "default" not in fields["decoders"], "the form would send its machine's processors along"
    assert schema["definitions"]["Job"]["required"] == ["archive", "labels"]
    for name in ("regions", "scoring", "suffixes"):
        folded, unfolded = fields[name]["anyOf"]
        assert folded["type"] == "null" and "default" not in fields[name], "it is unfolded"
        of_section = schema["definitions"].get(unfolded.get("$ref", "").rpartition("/")[2])
        assert (of_section or unfolded)["title"] == "Set each"
    for model in schema["definitions"].values():
        for name, field in model.get("properties", {}).items():
            kinds = field.get("anyOf", [])
            assert {"type": "null"} not in kinds, name
            assert field.get("description", "X")[0].isupper(), name


def test_the_server_takes_a_job_with_all_that_was_left_out(schema: dict[str, Any]) -> None:
    from prefect.utilities.schema_tools.validation import validate  # takes long to import

    job = make_job(archive="a", labels="b")
    values = {"job": job.model_dump(mode="json")}
    assert values["job"]["truth"] is None and values["job"]["regions"]["layout"] is None
    validate(values, schema, raise_on_error=True, preprocess=True)
    assert Job(**values["job"]) == job
    values["job"] |= {"regions": None, "scoring": None, "suffixes": None}
    values["job"]["preset"] = "parts"
    validate(values, schema, raise_on_error=True, preprocess=True)
    assert Job(**values["job"]) == make_job(archive="a", labels="b", preset="parts")
    values["job"]["cut_on"] = "elsewhere"
    with pytest.raises(Exception, match="elsewhere"):
        validate(values, schema, raise_on_error=True, preprocess=True)


def test_a_failure_in_words_is_logged_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "use_stored", lambda: None)
    # Whatever other tests of this process made of Prefect: a flow of theirs that was handled, and
    # its loggers.
    monkeypatch.setattr("prefect.engine.engine_outcome_is_handled", lambda: False)
    engine = logging.getLogger("prefect.engine")
    monkeypatch.setattr(engine, "disabled", False)
    monkeypatch.setattr(engine, "_cache", {})  # of the levels that were asked for
    monkeypatch.setattr(engine, "level", logging.ERROR)
    monkeypatch.setattr(engine.manager, "disable", 0)
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    monkeypatch.setattr(engine, "handlers", [handler])

    def flow() -> Any:
        raise UserError("2 of 3 shards failed")

    state = attempts.attempt(flow)()
    # The state has the error itself, or where a process has only its message, Prefect's own.
    for error in (UserError("2 of 3 shards failed"), FailedRun(state.message)):
        with pytest.raises(SystemExit), handle_engine_signals():
            raise error
        record = records.pop()
        assert record.getMessage() == "The flow run failed: 2 of 3 shards failed"
        assert record.exc_info is None and record.levelname == "ERROR"
    with pytest.raises(SystemExit), handle_engine_signals():
        raise ZeroDivisionError
    assert records.pop().exc_info, "an error of the code keeps its traceback"
