"""Every failure that the operator's guide tells of is one that a test meets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRIED = {
    "shards failed": "flows/test_flows.py::test_retry_of_a_failed_run_does_only_the_missing_shard",
    "cannot be used (": "flows/test_flows.py"
    "::test_a_shard_with_more_rejects_than_allowed_fails_and_can_be_retried",
    "could not be fetched": "archive/test_staging.py"
    "::test_a_store_that_keeps_failing_fails_the_shard_and_leaves_it_unstaged",
    "cannot be reached": "store/test_folder.py::test_an_unreachable_store_is_one_sentence",
    "is no longer there": "archive/test_staging.py"
    "::test_an_archive_that_is_gone_fails_the_shard_and_rejects_nothing",
    "but loading failed": "flows/test_made_anew.py"
    "::test_a_load_that_fails_is_told_and_retry_does_only_the_load",
    "encountered an exception": "flows/test_service.py"
    "::test_one_run_goes_on_after_a_code_fix_on_another_worker_and_after_a_cancel",
    "this batch was planned": "flows/test_made_anew.py"
    "::test_a_batch_makes_anew_what_it_finds_damaged_and_refuses_another_run",
    "| Crashed |": "flows/test_service.py"
    "::test_a_killed_flow_process_is_started_again_and_does_only_what_is_missing",
    "its worker is gone": "../infra/drill.py::main",
    "times in a row": "flows/test_flows.py"
    "::test_a_run_that_crashed_three_times_by_itself_gives_up_until_a_person_presses_retry",
    # The word is Prefect's own; that batches wait without a worker is what is tried.
    "| Late": "flows/test_flows.py"
    "::test_planning_again_leaves_shards_to_the_batches_that_are_under_way",
    "| Cancelled": "flows/test_service.py"
    "::test_one_run_goes_on_after_a_code_fix_on_another_worker_and_after_a_cancel",
    "it is kept as damaged": "flows/test_made_anew.py"
    "::test_one_run_makes_anew_whatever_was_damaged",
    "are set aside; lazsl label": "flows/test_made_anew.py"
    "::test_relabelling_says_what_makes_damaged_embeddings_anew_and_that_does_it",
    "has no embeddings": "run/test_lost_embeddings.py"
    "::test_lost_embeddings_are_made_anew_as_the_sentence_says",
    "finished shards cannot be loaded": "warehouse/test_healing.py"
    "::test_one_damaged_artifact_is_set_aside_and_all_others_are_loaded",
    "run.json is damaged": "warehouse/test_healing.py"
    "::test_records_that_hold_nothing_stop_nobody_else",
    "the record of run": "warehouse/test_healing.py"
    "::test_a_run_whose_record_is_gone_is_not_left_out_in_silence",
    "of the manifest": "archive/test_planners.py"
    "::test_a_lost_generation_is_rebuilt_from_what_the_shards_know",
    "that were listed before": "flows/test_made_anew.py"
    "::test_a_listing_that_lost_too_much_stops_the_run",
    "no DuckDB file": "warehouse/test_healing.py"
    "::test_a_damaged_warehouse_says_how_it_is_made_anew_and_that_does_it",
    "of its images … are in shard": "warehouse/test_healing.py"
    "::test_an_image_is_in_a_run_once_whatever_led_there",
    "samples …": "warehouse/test_healing.py::test_a_damaged_sample_stops_no_shard",
    "which a load left behind": "warehouse/test_warehouse.py"
    "::test_an_unreadable_file_of_a_cut_off_load_is_named",
    "No space left on device": "faults/test_faults.py"
    "::test_every_fault_of_a_round_heals_once_what_is_said_is_done",
    "was cut off": "warehouse/test_warehouse.py"
    "::test_a_disk_that_is_full_is_one_sentence_and_the_load_goes_on_when_there_is_room",
    "*not-finite*": "run/test_rejects.py"
    "::test_vectors_that_are_no_numbers_make_a_reject_and_no_label",
    "*unreadable*": "run/test_rejects.py"
    "::test_what_the_store_refuses_for_a_moment_is_labelled_by_the_next_run",
    "note of its rejects": "run/test_rejects.py"
    "::test_what_the_store_refuses_for_a_moment_is_labelled_by_the_next_run",
    "other rejects": "run/test_rejects.py"
    "::test_rejects_of_a_picture_are_final_unless_all_are_asked_for",
    "images was labelled": "flows/test_made_anew.py::test_a_run_that_labelled_nothing_is_a_failure",
    "another load into": "warehouse/test_healing.py::test_a_load_waits_for_another_one",
    "`lazsl status` exits 1": "warehouse/test_healing.py::test_counts_reconcile_at_every_moment",
    "no Prefect server answers": "flows/test_processes.py::test_a_command_says_it_in_one_sentence",
    "the proxy in": "flows/test_processes.py"
    "::test_what_keeps_prefect_from_starting_is_named_within_seconds",
    "Prefect's home": "flows/test_processes.py::test_a_full_disk_is_named",
    "Prefect's database": "flows/test_processes.py"
    "::test_the_database_is_mended_as_the_sentence_says",
    "temporary server was killed": "security/test_temporary_server.py"
    "::test_while_an_archive_is_labelled_its_prefect_server_answers_nobody_else",
    "temporary server cannot start": "flows/test_processes.py"
    "::test_what_keeps_prefect_from_starting_is_named_within_seconds",
    "failed in the middle": "cli/test_stopping.py"
    "::test_a_server_that_fails_in_the_middle_is_one_sentence",
    "*stopped; run": "flows/test_processes.py"
    "::test_a_killed_command_leaves_no_process_and_the_next_one_no_file",
}
"""What is seen, as a row of the guide begins, and the test that meets it."""


def rows() -> list[str]:
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    failures = text.partition("## What each failure looks like")[2].partition("\n## ")[0]
    lines = [line for line in failures.splitlines() if line.startswith("| ")]
    return [line.partition(" | ")[0] + " |" for line in lines if line[2:5] not in ("you", "---")]


def test_every_row_was_tried_and_every_trial_is_a_row() -> None:
    tried = {row: [piece for piece in TRIED if piece in row] for row in rows()}
    assert [row for row, pieces in tried.items() if len(pieces) != 1] == []
    assert {piece for pieces in tried.values() for piece in pieces} == set(TRIED)


def test_every_trial_is_a_test() -> None:
    for trial in set(TRIED.values()):
        file, _, name = trial.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in names, trial
        assert re.match(r"test_|main$", name)
