-- Where do whole image and regions disagree, and who is right? Images that DCLIP (the same
-- attributes on the whole image) and LaZSL call differently. Needs truth.
set variable run = (from (select run from runs order by created desc, run limit 1));
select
    count(*) as images,
    count(*) filter (best_guess = dclip_label) as same,
    count(*) filter (best_guess <> dclip_label and best_guess = truth) as only_lazsl_right,
    count(*) filter (best_guess <> dclip_label and dclip_label = truth) as only_dclip_right,
    count(*) filter (
        best_guess <> dclip_label and truth not in (best_guess, dclip_label)
    ) as neither
from labelled
where run = getvariable('run') and listed and truth is not null;
