-- How often is each method right, and how often is only it, or only LaZSL, right on the same image?
-- Over the images of a run whose truth is known; by its best guess where the run abstained, because
-- the other methods do not. Parameters: $run.
with judged as (
    select
        truth,
        {
            'lazsl': best_guess,
            'clip': clip_label,
            'dclip': dclip_label,
            'crop_mean': crop_mean_label
        } as labels
    from labelled
    where run = $run and listed and truth is not null
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
