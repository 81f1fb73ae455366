-- Audit: which images are drawn? Of every stratum as many as it says, at random: the images whose
-- digests with the seed are smallest, so that a larger sample draws the same ones first.
-- Parameters: $run, $by_label, $by_margin, $seed.
-- Relation: new_cells (label, band, stratum, population, drawn: one row per cell).
select f.image_id, f.key, f.digest, f.best_class as label, c.stratum, c.population, c.drawn
from audit_frame($run, $by_label, $by_margin) as f
join new_cells as c
    on c.label is not distinct from f.label and c.band is not distinct from f.band
qualify row_number() over (
    partition by c.stratum order by sha256($seed || ' ' || f.image_id), f.image_id
) <= c.drawn
order by c.stratum, f.key, f.image_id;
