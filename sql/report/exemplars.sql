-- Report: the typical images of each class (called so by the widest margin) and the odd ones (called
-- so with the least score). Reads `shown_images`. Parameters: $how_many.
with ranked as (
    select
        *,
        row_number() over (partition by guess order by margin desc nulls last, image_id) as typical,
        row_number() over (partition by guess order by score, image_id) as odd
    from shown_images
)
select
    guess,
    image_id,
    key,
    position,
    shard,
    part,
    margin,
    surer_than,
    truth,
    abstained,
    typical,
    odd
from ranked
where typical <= $how_many or odd <= $how_many
order by guess, image_id;
