-- Report: every image it shows, least certain first. Reads `shown_images`. No parameters.
select
    image_id,
    key,
    guess,
    truth,
    abstained,
    score,
    margin,
    surer_than,
    strongest,
    judged,
    shard,
    part
from shown_images
order by position;
