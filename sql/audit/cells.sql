-- Audit: how many images could be drawn of each class and margin band? Cells of one
-- band side by side, the largest first.
-- Parameters: $run, $by_label, $by_margin (whether each makes strata).
select label, band, count(*) as images
from audit_frame($run, $by_label, $by_margin)
group by label, band
order by band, images desc, label;
