"""The field guide: a drawn world of birds, an archive sampled from it, and a CLIP that knows it.

It exists so that everything in lazsl can run, be tested and be measured where no pretrained
weights can be had. The model knows nothing but these birds.

Where the environment names another folder in LAZSL_FIELDGUIDE, with a `model` and a `sample` of the
same form, that is the field guide of this process. The project's tests run over the first field
guide, tests/data/first_guide, so that figures that they compare stay what they are whatever is
shipped.
"""

import os
from pathlib import Path

HOME = Path(os.environ.get("LAZSL_FIELDGUIDE") or Path(__file__).parent).absolute()
MODEL_DIR = HOME / "model"
SAMPLE_DIR = HOME / "sample"
IMAGES_DIR = SAMPLE_DIR / "images"
LABELS_FILE = SAMPLE_DIR / "labels.json"
TRUTH_FILE = SAMPLE_DIR / "truth.csv"
