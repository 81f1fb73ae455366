-- What is in a warehouse? Every table, with a comment per table and per column.
-- Running it again changes nothing. No parameters.
--
-- No primary keys and no indexes: on the big tables they would have to fit in memory. The loader
-- writes every shard in one transaction, once, and the view `reconciliation` proves it. Big tables
-- carry the shard beside the image: rows are stored shard by shard, so a condition on the shard
-- skips nearly everything.

create table if not exists schema_version (
    version integer not null,
    definitions varchar
);
comment on table schema_version is 'one row: what this file is';
comment on column schema_version.version is 'raised when tables change; newer ones are not opened';
comment on column schema_version.definitions is
    'digest of schema, views and macros as last created';

create table if not exists runs (
    run varchar not null,
    archive varchar not null,
    archive_url varchar,
    encoder varchar not null,
    regions varchar not null,
    labels varchar not null,
    model varchar,
    classes integer,
    attributes integer,
    job json,
    software json,
    created timestamp
);
comment on table runs is 'one row per labelling run';
comment on column runs.run is 'run key';
comment on column runs.archive is 'archive key';
comment on column runs.archive_url is 'where the archive is';
comment on column runs.encoder is 'encoder key: model, weights, preprocessing, precision';
comment on column runs.regions is 'regions key: how crops are cut';
comment on column runs.labels is 'labels key: classes, attributes, prompts';
comment on column runs.model is 'model as it was asked for';
comment on column runs.classes is 'classes in the label set';
comment on column runs.attributes is 'attributes in the label set';
comment on column runs.job is 'every setting of the run';
comment on column runs.software is 'versions that made the run';
comment on column runs.created is 'UTC; when the run was first started';

create table if not exists shards (
    run varchar not null,
    shard varchar not null,
    listed bigint not null,
    labelled bigint not null,
    rejected bigint not null,
    score_rows bigint not null,
    evidence_rows bigint not null,
    plan_rows bigint not null,
    stage_seconds double,
    embed_seconds double,
    score_seconds double,
    crops bigint,
    bytes bigint,
    finished_at timestamp,
    version varchar
);
alter table shards add column if not exists version varchar;
comment on table shards is 'one row per loaded shard of a run, as its completion marker says';
comment on column shards.run is 'run key';
comment on column shards.shard is 'an unchanging list of images';
comment on column shards.listed is 'images in the shard';
comment on column shards.labelled is 'images that were scored, abstained ones among them';
comment on column shards.rejected is 'images that could not be used';
comment on column shards.score_rows is 'rows of scores when the shard was loaded';
comment on column shards.evidence_rows is 'rows of evidence when the shard was loaded';
comment on column shards.plan_rows is 'rows of plans when the shard was loaded';
comment on column shards.stage_seconds is 'fetching; null when this run fetched nothing';
comment on column shards.embed_seconds is
    'decoding, cropping, encoding; null when nothing was embedded';
comment on column shards.score_seconds is 'scoring';
comment on column shards.crops is 'crops that went through the model';
comment on column shards.bytes is 'bytes fetched from the archive';
comment on column shards.finished_at is 'UTC; when the completion marker was written';
comment on column shards.version is
    'of the file of the completion marker: another one is loaded anew; null: not looked at yet';

create table if not exists images (
    archive varchar not null,
    shard varchar not null,
    image_id varchar not null,
    key varchar,
    uri varchar,
    size bigint,
    version varchar,
    digest varchar,
    format varchar,
    width integer,
    height integer,
    orientation tinyint,
    listed boolean not null,
    notes varchar
);
alter table images add column if not exists notes varchar;
comment on table images is 'one row per image of a loaded shard, usable or not; shared by runs';
comment on column images.archive is 'archive key';
comment on column images.shard is 'shard the image belongs to';
comment on column images.image_id is 'names one version of one object';
comment on column images.key is 'path below the root of the archive';
comment on column images.uri is 'full URL of the object';
comment on column images.size is 'bytes, as listed';
comment on column images.version is 'etag or mtime, as listed';
comment on column images.digest is 'SHA-256 of the bytes; null when they could not be read';
comment on column images.format is 'what the bytes are (JPEG, PNG, ...); null when unknown';
comment on column images.width is 'pixels, after EXIF orientation; null when never decoded';
comment on column images.height is 'pixels, after EXIF orientation; null when never decoded';
comment on column images.orientation is
    'EXIF orientation that was applied, 1..8; null when never decoded';
comment on column images.notes is
    'what decoding converted or set right, and what the decoder complained of; null when nothing';
comment on column images.listed is 'true while the latest listing of the archive has this version';

create table if not exists regions (
    encoder varchar not null,
    regions varchar not null,
    shard varchar not null,
    image_id varchar not null,
    boxes struct("left" integer, top integer, "right" integer, bottom integer)[]
);
comment on table regions is 'one row per embedded image, encoder and regions key; shared by runs';
comment on column regions.encoder is 'encoder key';
comment on column regions.regions is 'regions key';
comment on column regions.shard is 'shard the image belongs to';
comment on column regions.image_id is 'image the boxes lie in';
comment on column regions.boxes is
    'boxes[region + 1], region 0 is the whole image; source pixels, right and bottom exclusive';

create table if not exists attributes (
    labels varchar not null,
    class_index integer,
    class varchar,
    attribute_index smallint,
    attribute varchar,
    prompt varchar
);
comment on table attributes is 'the label sets: a row per attribute, and one per class name';
comment on column attributes.labels is 'labels key';
comment on column attributes.class_index is 'position of the class in the label set';
comment on column attributes.class is 'class name';
comment on column attributes.attribute_index is
    'position within the class; -1: the bare class name';
comment on column attributes.attribute is 'the attribute as given; null for the bare class name';
comment on column attributes.prompt is 'the sentence that was embedded';

create table if not exists predictions (
    run varchar not null,
    shard varchar not null,
    image_id varchar not null,
    label varchar,
    score float,
    runner_up varchar,
    margin float,
    kept smallint,
    clip_label varchar,
    clip_score float,
    dclip_label varchar,
    dclip_score float,
    crop_mean_label varchar,
    crop_mean_score float,
    confidence float,
    abstained boolean default false,
    seen smallint,
    doubt float,
    presence float,
    gap float,
    parent_label varchar,
    parent_chance float,
    parent_level smallint,
    shown varchar[],
    shown_strength float[]
);
-- Version 2: runs that were loaded before never abstained.
alter table predictions add column if not exists confidence float;
alter table predictions add column if not exists abstained boolean default false;
-- Version 4: runs that were loaded before looked at every crop.
alter table predictions add column if not exists seen smallint;
alter table predictions add column if not exists doubt float;
-- Version 5: runs that were loaded before have the paper's plans.
alter table predictions add column if not exists presence float;
alter table predictions add column if not exists gap float;
-- Version 5: runs that were loaded before labelled by classes alone.
alter table predictions add column if not exists parent_label varchar;
alter table predictions add column if not exists parent_chance float;
alter table predictions add column if not exists parent_level smallint;
-- Runs that were loaded before kept the attributes of their best classes alone.
alter table predictions add column if not exists shown varchar[];
alter table predictions add column if not exists shown_strength float[];
comment on table predictions is 'one row per run and labelled image';
comment on column predictions.run is 'run key';
comment on column predictions.shard is 'shard the image belongs to';
comment on column predictions.image_id is 'the labelled image';
comment on column predictions.label is
    'class of the best score; null where abstained (it is rank 1 in scores)';
comment on column predictions.score is 'transported similarity of the best class, -1..1';
comment on column predictions.runner_up is
    'class of the second best score; null when there is one class';
comment on column predictions.margin is
    'score minus that of the runner-up; null when there is one class';
comment on column predictions.kept is
    'regions that passed the selection; of one-sided plans, all of them';
comment on column predictions.clip_label is 'best class by the bare class name on the whole image';
comment on column predictions.clip_score is 'its cosine';
comment on column predictions.dclip_label is
    'best class by the mean over attributes on the whole image';
comment on column predictions.dclip_score is 'its mean cosine';
comment on column predictions.crop_mean_label is
    'best class by the mean over all crops and attributes';
comment on column predictions.crop_mean_score is 'its mean cosine';
comment on column predictions.confidence is
    'chance that the best class is right, 0..1; null when the run had no temperature';
comment on column predictions.abstained is
    'true where the confidence, or best score, is below what was asked for: the image gets no label';
comment on column predictions.seen is
    'crops the label was made from; null: all, of a run from before crops were counted';
comment on column predictions.doubt is
    'chance that the crops not embedded change the label; null: every crop was asked for';
comment on column predictions.presence is
    'geometric mean presence of the attributes of the best class, 0..1; null: paper''s plans';
comment on column predictions.gap is
    'minus the mean similarity that attributes of the best class lack to rivals; null: paper''s plans';
comment on column predictions.parent_label is
    'where abstained, the deepest parent of the best class that can be defended; null: none';
comment on column predictions.parent_chance is
    'chance that the parent is right, summed over the classes kept (top_k); null: no parent';
comment on column predictions.parent_level is
    'steps up from the best class to the parent, 1 the nearest; null: no parent';
comment on column predictions.shown is
    'attributes of the whole label set that the image shows most strongly, strongest first';
comment on column predictions.shown_strength is
    'their strengths: of one-sided plans; else the mean similarity of the regions';

create table if not exists scores (
    run varchar not null,
    shard varchar not null,
    image_id varchar not null,
    rank smallint,
    class varchar,
    score float,
    clip_score float,
    dclip_score float,
    crop_mean_score float
);
comment on table scores is 'the best classes of every labelled image';
comment on column scores.run is 'run key';
comment on column scores.shard is 'shard the image belongs to';
comment on column scores.image_id is 'the labelled image';
comment on column scores.rank is '1 is the best class';
comment on column scores.class is 'class name';
comment on column scores.score is 'transported similarity';
comment on column scores.clip_score is 'cosine of the bare class name and the whole image';
comment on column scores.dclip_score is 'mean cosine of the attributes and the whole image';
comment on column scores.crop_mean_score is 'mean cosine over all crops and attributes';

create table if not exists evidence (
    run varchar not null,
    shard varchar not null,
    image_id varchar not null,
    rank smallint,
    class varchar,
    attribute_index smallint,
    attribute varchar,
    contribution float,
    similarity float,
    best_region smallint,
    best_share float,
    presence float
);
alter table evidence add column if not exists presence float;
comment on table evidence is 'what every attribute of the best classes of an image contributed';
comment on column evidence.run is 'run key';
comment on column evidence.shard is 'shard the image belongs to';
comment on column evidence.image_id is 'the labelled image';
comment on column evidence.rank is 'of the class, 1 is the best';
comment on column evidence.class is 'class name';
comment on column evidence.attribute_index is 'position within the class';
comment on column evidence.attribute is 'the attribute as given';
comment on column evidence.contribution is
    'sum of plan x similarity over regions; adds up to the score';
comment on column evidence.similarity is
    'transported mean similarity: contribution x attributes of class';
comment on column evidence.best_region is 'region that contributes most';
comment on column evidence.best_share is 'part of the mass of the attribute in that region, 0..1';
comment on column evidence.presence is
    'chance that it is there rather than one of its rivals, 0..1; null: paper''s plans';

create table if not exists plans (
    run varchar not null,
    shard varchar not null,
    image_id varchar not null,
    rank smallint,
    class varchar,
    score float,
    iterations integer,
    residual float,
    regions smallint[],
    attributes smallint,
    mass float[],
    similarity float[],
    passed_over float[],
    marginals float[]
);
-- Version 3: runs that were loaded before do not have it.
alter table plans add column if not exists passed_over float[];
alter table plans add column if not exists marginals float[];
comment on table plans is 'whole transport plans of the best few classes of every labelled image';
comment on column plans.run is 'run key';
comment on column plans.shard is 'shard the image belongs to';
comment on column plans.image_id is 'the labelled image';
comment on column plans.rank is 'of the class, 1 is the best';
comment on column plans.class is 'class name';
comment on column plans.score is 'sum of plan x similarity';
comment on column plans.iterations is 'Sinkhorn iterations done; 0: one-sided plans need none';
comment on column plans.residual is
    'largest error of a row marginal; 0: one-sided plans hold none';
comment on column plans.regions is 'the kept regions: rows of the plan';
comment on column plans.attributes is 'columns of the plan';
comment on column plans.mass is 'the plan, row by row; sums to 1';
comment on column plans.similarity is 'the similarities, row by row';
comment on column plans.passed_over is
    'similarities of the regions that were not kept, region by region; null: not known';
comment on column plans.marginals is
    'mass of each kept region: how much it spoke; sums to 1; null: of a run from before';

create table if not exists rejects (
    run varchar not null,
    shard varchar not null,
    image_id varchar not null,
    reason varchar,
    detail varchar
);
comment on table rejects is 'one row per run and image that could not be used';
comment on column rejects.run is 'run key';
comment on column rejects.shard is 'shard the image belongs to';
comment on column rejects.image_id is 'the rejected image';
comment on column rejects.reason is 'stable code';
comment on column rejects.detail is 'the same as a sentence';

create table if not exists truth (
    archive varchar not null,
    key varchar not null,
    label varchar not null
);
comment on table truth is 'what is really shown, where that is known';
comment on column truth.archive is 'archive key';
comment on column truth.key is 'path below the root of the archive';
comment on column truth.label is 'class name';

create table if not exists samples (
    sample varchar not null,
    archive varchar not null,
    run varchar not null,
    image_id varchar not null,
    key varchar,
    digest varchar,
    label varchar,
    stratum integer not null,
    population bigint not null,
    drawn bigint not null,
    strata varchar,
    seed bigint
);
comment on table samples is 'one row per image that was drawn for a person to judge';
comment on column samples.sample is 'names the drawn images';
comment on column samples.archive is 'archive key';
comment on column samples.run is 'run key; the sample is drawn from the images it labelled';
comment on column samples.image_id is 'the drawn image';
comment on column samples.key is 'path below the root of the archive';
comment on column samples.digest is 'SHA-256 of its bytes';
comment on column samples.label is 'best class of the run, as the person was shown it';
comment on column samples.stratum is 'counts the strata of the sample, the largest is 0';
comment on column samples.population is 'images in the stratum';
comment on column samples.drawn is
    'images drawn from the stratum; drawn / population is the probability of each to be drawn';
comment on column samples.strata is 'what the strata were made by';
comment on column samples.seed is 'of the draw';

create table if not exists reviews (
    batch varchar not null,
    archive varchar not null,
    image_id varchar not null,
    key varchar,
    digest varchar,
    label varchar,
    judged_label varchar,
    verdict varchar not null,
    reviewer varchar not null,
    judged_at timestamp not null,
    comment varchar,
    source varchar,
    run varchar,
    sample varchar
);
comment on table reviews is
    'one row per judgement of a person; only ever added to, by no run and no import replaced';
comment on column reviews.batch is 'names what was imported together';
comment on column reviews.archive is 'archive key';
comment on column reviews.image_id is 'the judged image';
comment on column reviews.key is 'path below the root of the archive';
comment on column reviews.digest is 'SHA-256 of the bytes that were judged';
comment on column reviews.label is 'what the run called the image, as the person was shown it';
comment on column reviews.judged_label is 'what the image shows; null: none of the classes';
comment on column reviews.verdict is
    'on the label: right; wrong: another class; none: none of the classes';
comment on column reviews.reviewer is 'who judged';
comment on column reviews.judged_at is 'UTC; of the import where the file does not say';
comment on column reviews.comment is 'what the reviewer wrote besides';
comment on column reviews.source is 'kind of file: csv, label-studio, fiftyone';
comment on column reviews.run is 'run key; whose label was judged';
comment on column reviews.sample is 'the sample it was drawn with; null: chosen otherwise';

insert into schema_version (version)
select 5 where not exists (from schema_version);
update schema_version set version = 5 where version < 5;
