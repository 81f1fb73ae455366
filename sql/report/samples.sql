-- Report: which of its images were drawn from the run for people to judge? A row per sample and image,
-- at random within the sample (an image_id is a digest), so that what is judged first stands for all.
-- Reads `shown_images`. Parameters: $run.
select s.sample, v.position
from samples as s
join shown_images as v on v.image_id = s.image_id
where s.run = $run
order by s.sample, s.image_id;
