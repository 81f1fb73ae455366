-- Load: the row of a shard of a run, which says that everything of it is there.
-- Parameters: $run, $shard, $listed, $labelled, $rejected, $stage_seconds, $embed_seconds,
-- $score_seconds, $crops, $bytes, $finished (ISO 8601 with its offset).
-- Relations: new_scores, new_evidence, new_plans (records.SCORES, EVIDENCE, PLANS).
insert into shards (
    run, shard, listed, labelled, rejected, score_rows, evidence_rows, plan_rows, stage_seconds,
    embed_seconds, score_seconds, crops, bytes, finished_at
)
select
    $run,
    $shard,
    $listed,
    $labelled,
    $rejected,
    (select count(*) from new_scores),
    (select count(*) from new_evidence),
    (select count(*) from new_plans),
    $stage_seconds,
    $embed_seconds,
    $score_seconds,
    $crops,
    $bytes,
    timezone('UTC', $finished::timestamptz);
