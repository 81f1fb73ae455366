"""Claims about the Job: what is impossible, what has defaults, and what names a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lazsl.errors import UserError
from lazsl.fieldguide import TRUTH_FILE
from lazsl.model.encoder import choose_precision
from lazsl.run import embed_step
from lazsl.run.run import Run, open_relabelling, open_run, record_run
from lazsl.settings import (
    DEVICE_DEFAULTS,
    CutOn,
    DeviceDefaults,
    Job,
    RegionSettings,
    ScoringSettings,
    device_defaults,
    make_job,
)
from lazsl.store import keys


def refusal(**values: Any) -> str:
    """The sentence that an impossible job is refused with."""
    with pytest.raises(UserError) as caught:
        make_job(**{"archive": "photos", "labels": "birds.json", **values})
    sentence = str(caught.value)
    assert sentence.strip() and "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("archive", ""),
        ("labels", ""),
        ("model", ""),
        ("precision", "float8"),
        ("suffixes", ()),
        ("max_pixels", 0),
        ("shard_size", 0),
        ("shard_size", 100_001),
        ("batch_size", "many"),
        ("decoders", 0),
        ("fetchers", 257),
        ("staged_shards", 65),
        ("scoring_memory", 1000),
        ("regions.count", 0),
        ("regions.smallest", 0.0),
        ("regions.largest", 1.5),
        ("regions.seed", -1),
        ("scoring.theta", 1.5),
        ("scoring.theta", float("nan")),
        ("scoring.epsilon", 0.0),
        ("scoring.epsilon", -0.1),
        ("scoring.epsilon", float("nan")),
        ("scoring.epsilon", float("inf")),
        ("scoring.gamma", 3.0),
        ("scoring.gamma", float("nan")),
        ("scoring.rule", "fast"),
        ("scoring.max_iterations", 0),
        ("scoring.tolerance", 0.0),
        ("scoring.tolerance", float("nan")),
        ("scoring.top_k", 0),
        ("scoring.plans", -1),
    ],
)
def test_an_impossible_setting_is_one_sentence_with_its_field_and_its_value(
    field: str, value: Any
) -> None:
    section, _, name = field.rpartition(".")
    sentence = refusal(**({section: {name: value}} if section else {name: value}))
    assert sentence.startswith("impossible settings: ")
    assert f"{field}: " in sentence
    assert f"(got {value!r})" in sentence


def test_every_impossible_setting_is_told_at_once() -> None:
    sentence = refusal(shard_size=0, scoring={"theta": 2, "top_k": 0})
    assert all(field in sentence for field in ("shard_size", "scoring.theta", "scoring.top_k"))


def test_settings_that_contradict_each_other_are_told_with_both_values() -> None:
    sentence = refusal(regions={"smallest": 0.75, "largest": 0.25})
    assert "regions: " in sentence and "0.75" in sentence and "0.25" in sentence
    sentence = refusal(scoring={"plans": 7, "top_k": 3})
    assert "scoring: " in sentence and "7" in sentence and "3" in sentence


def test_a_misspelt_setting_is_named() -> None:
    assert "batchsize" in refusal(batchsize=32)
    assert "scoring.thetta" in refusal(scoring={"thetta": 0.5})


@pytest.mark.parametrize("field", ["archive", "labels", "workspace", "truth"])
def test_credentials_in_a_url_are_refused_and_not_repeated(field: str) -> None:
    sentence = refusal(**{field: "s3://AKIAKEY:hunter2@bucket/photos"})
    assert field in sentence and "AWS_ACCESS_KEY_ID" in sentence
    assert "hunter2" not in sentence and "AKIAKEY" not in sentence


@pytest.mark.parametrize("url", ["s3://bucket/a@b/c.json", "/data/you@home/x", "memory://x/@"])
def test_an_at_sign_in_a_path_is_no_credential(url: str) -> None:
    assert make_job(archive=url, labels=url, workspace=url, truth=url).archive == url


def test_the_defaults_are_the_papers() -> None:
    job = make_job(archive="photos", labels="birds.json")
    assert job.regions == RegionSettings(count=90, smallest=0.6, largest=0.9)
    assert (job.scoring.theta, job.scoring.epsilon, job.scoring.gamma) == (0.8, 0.1, 0.0)
    assert (job.scoring.rule, job.scoring.max_iterations) == ("paper", 100)
    assert job.scoring.tolerance == 1e-2
    assert job.model == "ViT-B-16-quickgelu:openai"


def test_the_converged_rule_iterates_longer_and_stops_at_a_smaller_residual() -> None:
    paper, converged = ScoringSettings(), ScoringSettings(rule="converged")
    assert converged.max_iterations >= 100 * paper.max_iterations
    assert converged.tolerance <= 1e-4 * paper.tolerance


def test_the_converged_rule_leaves_what_was_given() -> None:
    given = ScoringSettings(rule="converged", max_iterations=7, tolerance=0.5)
    assert (given.max_iterations, given.tolerance) == (7, 0.5)


@pytest.mark.parametrize(
    ("workspace", "warehouse", "expected"),
    [
        ("workspace", None, "workspace/warehouse.duckdb"),
        ("/data/w", None, "/data/w/warehouse.duckdb"),
        ("file:///data/w", None, "/data/w/warehouse.duckdb"),
        ("s3://bucket/w", None, "warehouse.duckdb"),
        ("memory://w", None, "warehouse.duckdb"),
        ("/data/w", "/fast/x.duckdb", "/fast/x.duckdb"),
        ("s3://bucket/w", "x.duckdb", "x.duckdb"),
    ],
)
def test_the_warehouse_is_a_local_file(
    workspace: str, warehouse: str | None, expected: str
) -> None:
    job = make_job(archive="a", labels="l", workspace=workspace, warehouse=warehouse)
    assert job.warehouse_path == Path(expected)


def test_a_job_is_the_same_after_a_journey_through_json() -> None:
    job = make_job(
        archive="s3://bucket/Vögel",
        labels="birds.json",
        truth="truth.csv",
        suffixes=(".jpg", ".heic"),
        regions={"count": 7, "smallest": 0.1 + 0.2, "seed": 3},
        scoring={"rule": "converged", "epsilon": 1 / 3, "top_k": 9, "plans": 4},
        scoring_memory=2**33,
    )
    text = json.dumps(job.model_dump(mode="json"))
    assert make_job(**json.loads(text)) == job
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_a_job_cannot_be_changed() -> None:
    job = make_job(archive="a", labels="l")
    for target, name in ((job, "model"), (job.scoring, "theta"), (job.regions, "count")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(target, name, getattr(target, name))


# What names a run

LABELS = {"wren": ["a cocked tail"], "crow": ["black wings", "a stout beak"]}

ELSEWHERE: dict[str, Any] = {
    "workspace": "elsewhere",
    "warehouse": "elsewhere.duckdb",
    "truth": "truth.csv",
    "open_set": True,
    "device": "cpu",
    "suffixes": [".png"],
    "exclude": ["raw/*"],
    "shard_size": 3,
    "batch_size": 5,
    "decoders": 3,
    "fetchers": 3,
    "staged_shards": 3,
    "scratch": "/fast",
    "scoring_memory": 2**25,
    "reject_ceiling": 0.25,
    "links": "anywhere",
    "loss_ceiling": 0.5,
    "retry_rejects": "all",
    "recolour": True,
}
"""Settings that say where things lie, what is listed, and how fast it goes."""

RESULTS: dict[str, Any] = {
    "archive": "elsewhere/photos",
    "labels": {**LABELS, "crow": ["black wings"]},
    "model": "local-dir:{model}",
    "precision": "bfloat16",
    "max_pixels": 1000,
    "regions": {"count": 91},
    "scoring": {"theta": 0.7},
    "only": str(TRUTH_FILE),
    "preset": "parts",
    "cut_on": "device",
}
"""Settings that change results."""


def opened(folder: Path, changes: dict[str, Any] | None = None) -> Run:
    """The run of a small job with changed settings, under the embedded model."""
    values: dict[str, Any] = {
        "archive": "photos",
        "labels": LABELS,
        "model": "fieldguide",
        "precision": "float32",  # by itself it would follow the device
        **(changes or {}),
    }
    if "{model}" in values["model"]:
        copy = folder / "model"
        copy.mkdir()
        (copy / "open_clip_config.json").write_text("{}")
        (copy / "open_clip_model.safetensors").write_bytes(b"other weights")
        values["model"] = values["model"].format(model=copy)
    file = folder / "birds.json"
    file.write_text(json.dumps(values["labels"]))
    return open_run(make_job(**{**values, "labels": str(file)}))


def test_every_setting_is_known_to_change_results_or_not() -> None:
    assert set(ELSEWHERE) | set(RESULTS) == set(Job.model_fields)
    assert not set(ELSEWHERE) & set(RESULTS)


@pytest.mark.parametrize("field", ELSEWHERE)
def test_a_setting_that_changes_no_result_leaves_every_key(field: str, tmp_path: Path) -> None:
    fast = {"regions": {"resampling": "fast"}}  # which alone leaves a choice of where to cut
    before, after = opened(tmp_path, fast), opened(tmp_path, {**fast, field: ELSEWHERE[field]})
    assert getattr(after.job, field) != getattr(before.job, field)
    assert (after.key, after.encoder, after.regions, after.labels) == (
        before.key,
        before.encoder,
        before.regions,
        before.labels,
    )


@pytest.mark.parametrize("field", RESULTS)
def test_a_setting_that_changes_results_names_another_run(field: str, tmp_path: Path) -> None:
    fast = {"regions": {"resampling": "fast"}}  # which alone leaves a choice of where to cut
    assert opened(tmp_path, {**fast, field: RESULTS[field]}).key != opened(tmp_path, fast).key


@pytest.mark.parametrize("default", ["processor", "device"])
def test_the_key_says_where_fast_crops_are_cut_and_no_other_machine_cuts_elsewhere_in_silence(
    default: CutOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = {"regions": {"resampling": "fast"}}
    names = {side: opened(tmp_path, {**fast, "cut_on": side}) for side in ("processor", "device")}
    assert names["processor"].regions == regions_key(RegionSettings(resampling="fast"), 200_000_000)
    monkeypatch.setitem(DEVICE_DEFAULTS, "cpu", DeviceDefaults("float32", 256, default))
    by_itself = opened(tmp_path, fast)
    assert by_itself.job.cut_on == default
    assert by_itself.key == names[default].key
    assert opened(tmp_path).job.cut_on is None, "exact crops are never cut by the device"


@pytest.mark.parametrize("cut_on", [None, "processor", "device"])
def test_runs_from_before_the_key_said_where_crops_were_cut_are_relabelled(
    cut_on: CutOn | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"workspace": str(tmp_path / "workspace"), "regions": {"resampling": "fast"}}
    run = opened(tmp_path, {**where, "cut_on": cut_on})
    regions = regions_key(RegionSettings(resampling="fast"), 200_000_000)
    job = run.job.model_copy(update={"cut_on": cut_on})
    record_run(replace(run, job=job, regions=regions))
    monkeypatch.setitem(DEVICE_DEFAULTS, "cpu", DeviceDefaults("float32", 256, "device"))
    assert open_relabelling(run.workspace, run.key, {}).regions == regions


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 3},
        {"smallest": 0.5},
        {"largest": 0.8},
        {"seed": 1},
        {"resampling": "exact"},
        {"doubt": 0.02},
        {"source": "dense"},
    ],
)
def test_every_region_setting_names_other_embeddings(changes: dict[str, Any]) -> None:
    before = RegionSettings(resampling="fast")
    assert regions_key(before.model_copy(update=changes)) != regions_key(before)


def regions_key(settings: RegionSettings, max_pixels: int = 1000) -> str:
    return keys.regions_key(settings, max_pixels, "labels", ScoringSettings())


def test_exact_crops_are_never_cut_on_the_device() -> None:
    with pytest.raises(UserError, match=r"set regions\.resampling to fast"):
        make_job(archive="a", labels="l", cut_on="device")
    fast = RegionSettings(resampling="fast")
    assert make_job(archive="a", labels="l", cut_on="device", regions=fast).cut_on == "device"


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps", "xpu"])
def test_what_is_left_to_the_device_stands_in_one_table(device: str) -> None:
    defaults = device_defaults(device)
    assert choose_precision("auto", device) == defaults.precision
    assert defaults == DEVICE_DEFAULTS.get(device.split(":")[0], DEVICE_DEFAULTS["cpu"])
    job = make_job(archive="a", labels="l")
    assert (job.batch_size, job.cut_on) == (None, None), "not chosen before the device is known"


@pytest.mark.parametrize("asked", [{}, {"batch_size": 9, "cut_on": "processor"}])
def test_a_shard_is_embedded_as_the_job_says_or_else_the_device(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def embed_images(*arguments: Any, **options: Any) -> None:
        given.update(options)
        raise InterruptedError

    monkeypatch.setitem(DEVICE_DEFAULTS, "cuda", DeviceDefaults("float16", 7, "device"))
    monkeypatch.setattr(embed_step, "embed_images", embed_images)
    monkeypatch.setattr(embed_step, "load_model", lambda *_: SimpleNamespace(device="cuda:1"))
    job = make_job(archive="a", labels="l", regions={"resampling": "fast"}, **asked)
    run = SimpleNamespace(job=job)
    with pytest.raises(InterruptedError):
        embed_step.embed_pictures(run, SimpleNamespace(images=None, read=None, size=None))  # type: ignore[arg-type]
    expected = {"batch_size": 7, "cut_on": "device", **asked}
    assert {name: given[name] for name in expected} == expected


def test_exact_crops_have_the_name_they_had_before_there_were_others() -> None:
    assert regions_key(RegionSettings(resampling="exact"), 200_000_000) == "r90-9390fc8aeb19"


def test_fast_crops_that_are_cut_in_another_way_have_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [RegionSettings(resampling="exact"), RegionSettings(resampling="fast")]
    before = [regions_key(settings) for settings in both]
    monkeypatch.setattr(keys, "_CUT", 99)
    after = [regions_key(settings) for settings in both]
    assert after[0] == before[0] and after[1] != before[1]


def test_crops_that_stop_early_belong_to_the_label_set_and_to_what_decides_the_label(
    tmp_path: Path,
) -> None:
    def named(**changes: Any) -> str:
        return opened(tmp_path, {"regions": {"doubt": 0.02}, **changes}).regions

    before = named()
    assert before != opened(tmp_path).regions
    assert named(regions={"doubt": 0.03}) != before
    assert named(labels={**LABELS, "crow": ["black wings"]}) != before
    assert named(scoring={"theta": 1.0}) != before
    assert named(scoring={"gamma": 0.1}) != before
    assert named(scoring={"plans": 1, "top_k": 7, "temperature": 0.1}) == before


def test_the_scale_of_a_look_names_other_embeddings_where_there_is_one() -> None:
    crops, dense = (RegionSettings(source=source, scale=3) for source in ("crops", "dense"))
    assert regions_key(crops) == regions_key(RegionSettings())
    assert regions_key(dense) != regions_key(RegionSettings(source="dense"))


@pytest.mark.parametrize("doubt", [0, 0.5, -1])
def test_a_doubt_is_a_small_chance(doubt: float) -> None:
    with pytest.raises(UserError, match=r"regions\.doubt"):
        make_job(archive="a", labels="l", regions={"doubt": doubt})


@pytest.mark.parametrize(
    "changes",
    [
        {"theta": 1.0},
        {"epsilon": 0.2},
        {"gamma": 0.1},
        {"rule": "converged", "max_iterations": 100, "tolerance": 1e-2},
        {"max_iterations": 99},
        {"tolerance": 1e-3},
        {"top_k": 6},
        {"plans": 1},
    ],
)
def test_every_scoring_setting_names_another_run_over_the_same_embeddings(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    before, after = opened(tmp_path), opened(tmp_path, {"scoring": changes})
    assert after.key != before.key
    assert (after.encoder, after.regions) == (before.encoder, before.regions)


def test_images_that_were_too_large_are_looked_at_again_under_a_higher_limit(
    tmp_path: Path,
) -> None:
    low, high = (opened(tmp_path, {"max_pixels": limit}) for limit in (1000, 2000))
    assert low.regions != high.regions


def test_the_way_a_setting_is_written_does_not_matter(tmp_path: Path) -> None:
    assert opened(tmp_path, {"archive": "photos/"}).key == opened(tmp_path).key
    whole = {"scoring": ScoringSettings().model_dump(), "regions": RegionSettings().model_dump()}
    assert opened(tmp_path, whole).key == opened(tmp_path).key


def test_keys_are_file_names_that_begin_readably(tmp_path: Path) -> None:
    run = opened(tmp_path, {"archive": "s3://bucket/My Photos (2024)/"})
    assert run.key.startswith("my-photos-2024-")
    for key in (run.key, run.archive, run.encoder, run.regions, run.labels):
        assert key == Path(key).name and key.replace("-", "").replace(".", "").isalnum()


# Aligners


def test_one_sided_plans_have_no_mix_no_selection_and_wait_for_the_models_epsilon() -> None:
    scoring = ScoringSettings(aligner="one-sided")
    assert (scoring.theta, scoring.gamma, scoring.epsilon) == (1.0, -2.0, None)
    with pytest.raises(ValueError, match="resolve it first"):
        scoring.aligning(2**20)
    resolved = scoring.resolved(50.0)
    assert (resolved.epsilon, resolved.presence_temperature) == (0.05, 0.02)
    assert ScoringSettings(**resolved.model_dump()) == resolved
    tuned = ScoringSettings(aligner="one-sided", epsilon=0.3).resolved(50.0)
    assert (tuned.epsilon, tuned.presence_temperature) == (0.3, 0.02)
    assert ScoringSettings().epsilon == 0.1


def test_what_a_form_sends_along_is_no_setting_of_one_sided_plans() -> None:
    sent = ScoringSettings().model_dump() | {"aligner": "one-sided", "epsilon": None}
    assert ScoringSettings(**sent) == ScoringSettings(aligner="one-sided")


@pytest.mark.parametrize(
    ("scoring", "sentence"),
    [
        ({"aligner": "one-sided", "theta": 0.5}, "theta 0.5 belongs to the paper's plans"),
        ({"aligner": "one-sided", "gamma": 0.1}, "gamma 0.1 belongs to the paper's plans"),
        ({"aligner": "one-sided", "rule": "converged"}, "rule converged belongs"),
        ({"presence_temperature": 0.1}, "presence_temperature 0.1 belongs to one-sided"),
        ({"aligner": "balanced"}, "aligner"),
    ],
)
def test_settings_of_the_other_aligner_are_refused(scoring: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_job(archive="a", labels="l", scoring=scoring)


def test_runs_from_before_there_were_aligners_keep_their_names() -> None:
    inputs = ("birds-1", "e", "r", "l")
    assert keys.run_key("a-b", *inputs[1:], ScoringSettings()) == "a-24493d7ca8f4"
    paper = ScoringSettings(aligner="paper", rule="converged")
    assert keys.run_key("a-b", *inputs[1:], paper) == "a-0aba9794a18a"
    stopped = keys.regions_key(RegionSettings(doubt=0.02), 10, "l", ScoringSettings())
    assert stopped == "r90-af857ec529e7"
    one_sided = ScoringSettings(aligner="one-sided").resolved(50.0)
    run_keys = {keys.run_key(*inputs, scoring) for scoring in (ScoringSettings(), one_sided, paper)}
    assert len(run_keys) == 3


# Layouts and presets


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"regions": {"layout": "zoom", "count": 40}}, "a zoom of 40 crops has no whole levels"),
        ({"regions": {"layout": "pyramid", "count": 30}}, "set count to 4, 13, 29, 54 or 90"),
        ({"regions": {"layout": "zoom", "smallest": 0.3}}, "smallest 0.3 belongs to random crops"),
        ({"regions": {"layout": "zoom", "source": "dense"}}, "a zoom looks again"),
        (
            {"regions": {"layout": "pyramid", "doubt": 0.01}},
            "doubt 0.01 of the paper's plans speaks of crops that are drawn alike",
        ),
        ({"preset": "best"}, "preset"),
        ({"preset": "parts", "scoring": {"theta": 0.5}}, "theta 0.5 belongs to the paper's plans"),
    ],
)
def test_layouts_that_cannot_be_are_refused_in_a_sentence(
    values: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(**values)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("paper", (None, 90, None)),
        ("parts", ("zoom", 90, "one-sided")),
        ("parts-fast", ("zoom", 29, "one-sided")),
    ],
)
def test_a_preset_sets_layout_count_and_aligner(preset: str, expected: tuple[Any, ...]) -> None:
    def of(job: Job) -> tuple[Any, ...]:
        return job.regions.layout, job.regions.count, job.scoring.aligner

    job = make_job(archive="a", labels="l", preset=preset)
    assert of(job) == expected
    # As a form sends it, with the defaults of everything else.
    plain = Job(archive="a", labels="l").model_dump()
    assert of(make_job(**{**plain, "preset": preset, "scoring": {}})) == expected
    # As it was written down.
    assert make_job(**job.model_dump(mode="json")) == job


def test_any_setting_may_differ_from_its_preset() -> None:
    values: dict[str, Any] = {"archive": "a", "labels": "l", "preset": "parts"}
    job = make_job(**values, regions={"layout": "pyramid", "doubt": 0.01}, scoring={"top_k": 7})
    assert (job.regions.layout, job.regions.doubt) == ("pyramid", 0.01)
    assert (job.scoring.aligner, job.scoring.top_k) == ("one-sided", 7)
    given = make_job(**values, regions=RegionSettings(seed=3), scoring={"aligner": "paper"})
    assert (given.regions.layout, given.regions.seed) == ("zoom", 3)
    assert given.scoring.aligner == "paper"


def test_a_job_from_before_there_were_presets_is_the_papers() -> None:
    old = Job(archive="a", labels="l").model_dump(mode="json")
    for section, name in (("regions", "layout"), ("scoring", "aligner")):
        del old[section][name]
    del old["preset"], old["scoring"]["presence_temperature"]
    assert make_job(**old) == Job(archive="a", labels="l")


def test_regions_from_before_there_were_layouts_keep_their_names() -> None:
    scoring = ScoringSettings()
    assert keys.regions_key(RegionSettings(), 10, "l", scoring) == keys.regions_key(
        RegionSettings(layout="random"), 10, "l", scoring
    )
    names = {
        keys.regions_key(RegionSettings(layout=layout, count=count), 10, "l", scoring)
        for layout in ("random", "pyramid", "zoom")
        for count in (29, 90)
    }
    assert len(names) == 6
