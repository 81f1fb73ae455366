-- Report: which attributes carry each class, over the images whose best class it is?
-- Parameters: $run.
select class, attribute_index, images, contribution, similarity, lift
from attribute_strength
where run = $run
order by class, attribute_index;
