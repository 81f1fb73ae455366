-- How often is each method right, and how often is only it, or only LaZSL, right on the same image?
-- Over the images of a run whose truth is known. Parameters: $run.
with judged as (
    select
        t.label as truth,
        {'lazsl': p.label, 'clip': p.clip_label, 'dclip': p.dclip_label, 'crop_mean': p.crop_mean_label}
            as labels
    from predictions as p
    join runs as r on r.run = p.run
    join images as i on i.archive = r.archive and i.shard = p.shard and i.image_id = p.image_id
    join truth as t on t.archive = r.archive and t.key = i.key
    where p.run = $run and i.listed
),
answers as (
    select 'lazsl' as method, labels.lazsl = truth as correct, labels.lazsl = truth as lazsl from judged
    union all
    select 'clip', labels.clip = truth, labels.lazsl = truth from judged
    union all
    select 'dclip', labels.dclip = truth, labels.lazsl = truth from judged
    union all
    select 'crop_mean', labels.crop_mean = truth, labels.lazsl = truth from judged
)
select
    method,
    count(*) as images,
    count(*) filter (where correct) as correct,
    count(*) filter (where correct and not lazsl) as only_this,
    count(*) filter (where lazsl and not correct) as only_lazsl
from answers
group by method;
