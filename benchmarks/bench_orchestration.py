"""What Prefect costs: the whole job as a flow, against the same steps one after the other.

    python benchmarks/bench_orchestration.py [--json]

The sample archive at the default shard size (it fills one shard of 256) with the paper's 90
regions, on a server that runs already. Both ways label everything; the flow may overlap fetching
with the model, and pays for its task runs. Wanted: at most 5 % more; exits with 1 above that.

The pictures of evidence, which a run draws once when it is complete, are no orchestration: they are
left out of the comparison, and what they take is printed beside it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, conclude, options
from prefect.testing.utilities import prefect_test_harness

from lazsl import fieldguide
from lazsl.archive.shard_planning import plan_shards
from lazsl.report.dashboard import draw_evidence
from lazsl.run import embed_step, label_set_step, score_step, stage_step
from lazsl.run.into_warehouse import load_run
from lazsl.run.run import open_run, record_run
from lazsl.settings import Job, make_job

TARGET = 0.05
QUICK = ("--rounds", "1")


def job(workspace: Path, crops: int = 90) -> Job:
    return make_job(
        regions={"count": crops},
        archive=str(fieldguide.IMAGES_DIR),
        labels=str(fieldguide.LABELS_FILE),
        workspace=str(workspace),
        model="fieldguide",
        device="cpu",
    )


def plainly(job: Job, scratch: Path) -> float:
    """Seconds of the steps without Prefect."""
    started = time.perf_counter()
    run = open_run(job)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)
    record_run(run)
    label_set_step.embed_attributes(run)
    scratch.mkdir(exist_ok=True)
    for shard in plan.shards:
        embed_step.embed_shard(run, shard, stage_step.stage_shard(run, shard, scratch / shard))
        score_step.score_shard(run, shard)
    load_run(run.workspace, job, run.key, run.archive)
    return time.perf_counter() - started


def as_flow(job: Job) -> float:
    """Seconds of the flow."""
    from lazsl_flows.label import label_archive

    started = time.perf_counter()
    state = label_archive(job, return_state=True)
    assert state.is_completed(), state.message
    return time.perf_counter() - started


def main() -> int:
    """Measure and print; the exit status."""
    given = options(__doc__, rounds=2).parse_args()
    with tempfile.TemporaryDirectory() as folder, prefect_test_harness():
        home = Path(folder)
        os.environ["LAZSL_EVIDENCE"] = "off"
        # The model is loaded, and what the flow needs imported, once per process.
        plainly(job(home / "warm-plain", 1), home / "scratch")
        as_flow(job(home / "warm-flow", 1))
        plain, flow = [], []
        for turn in range(given.rounds):
            plain.append(plainly(job(home / f"plain-{turn}"), home / "scratch"))
            flow.append(as_flow(job(home / f"flow-{turn}")))
        last = job(home / f"flow-{given.rounds - 1}")
        started = time.perf_counter()
        draw_evidence(last.warehouse_path, open_run(last).key, last.workspace)
        pictures = time.perf_counter() - started
    ratio = min(flow) / min(plain)
    return conclude(
        given,
        "orchestration",
        [Figure("a flow", ratio, "the same steps without Prefect", at_most=1 + TARGET)],
        f"orchestration: {ratio - 1:+.1%} ({min(flow):.1f} s as a flow, {min(plain):.1f} s "
        f"without Prefect, 254 images; at most {TARGET:.0%} is wanted); "
        f"{pictures:.1f} s for three pictures of evidence",
        plain_s=min(plain),
        flow_s=min(flow),
        pictures_s=pictures,
    )


if __name__ == "__main__":
    sys.exit(main())
