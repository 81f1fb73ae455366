"""The field guide: a drawn world of birds, an archive sampled from it, and a CLIP that knows it.

It exists so that everything in lazsl can run, be tested and be measured where no pretrained
weights can be had. The model knows nothing but these birds.
"""

from pathlib import Path

HOME = Path(__file__).parent
MODEL_DIR = HOME / "model"
SAMPLE_DIR = HOME / "sample"
IMAGES_DIR = SAMPLE_DIR / "images"
LABELS_FILE = SAMPLE_DIR / "labels.json"
TRUTH_FILE = SAMPLE_DIR / "truth.csv"
