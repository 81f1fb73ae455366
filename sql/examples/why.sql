-- Why was the least certain image of the latest run called what it was called?
set variable run = (from (select run from runs order by created desc, run limit 1));
set variable image = (
    from (
        select image_id
        from predictions
        where run = getvariable('run')
        order by margin, image_id
        limit 1
    )
);
select best_guess, attribute, round(contribution, 4) as contribution, round(share, 3) as share, box
from why(getvariable('run'), getvariable('image'));
