"""The data sets of the paper, by name."""

from __future__ import annotations

from lazsl.datasets.imagenet import (
    read_imagenet,
    read_imagenet_a,
    read_imagenet_r,
    read_imagenet_sketch,
    read_imagenet_v2,
)
from lazsl.datasets.layout import DataSet
from lazsl.datasets.listed import read_cub, read_dtd, read_food101, read_pets, read_places365

_ALL = (
    DataSet(
        name="imagenet",
        title="ImageNet (ILSVRC 2012)",
        split="validation",
        images=50_000,
        classes=1000,
        layout="""
            val/n01440764/ILSVRC2012_val_00000293.JPEG, ...
            or, as Kaggle has it:
            ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000293.JPEG, ...
            LOC_val_solution.csv
            beside either, if there: LOC_synset_mapping.txt, imagenet_class_index.json (compared)
        """,
        descriptors="descriptors_imagenet.json",
        read=read_imagenet,
    ),
    DataSet(
        name="imagenet-v2",
        title="ImageNet-V2 (matched frequency)",
        split="all",
        images=10_000,
        classes=1000,
        layout="""
            imagenetv2-matched-frequency-format-val/0/1e3e8e0d6a0b9e0e.jpeg, ... 999/...
        """,
        descriptors="descriptors_imagenet.json",
        read=read_imagenet_v2,
    ),
    DataSet(
        name="imagenet-r",
        title="ImageNet-R",
        split="all",
        images=30_000,
        classes=200,
        layout="""
            imagenet-r/n01443537/art_0.jpg, ...
            imagenet-r/README.txt (compared, if there)
        """,
        descriptors="descriptors_imagenet.json",
        read=read_imagenet_r,
    ),
    DataSet(
        name="imagenet-a",
        title="ImageNet-A",
        split="all",
        images=7_500,
        classes=200,
        layout="""
            imagenet-a/n01498041/0.000116_digital clock _ digital clock_0.865662.jpg, ...
            imagenet-a/README.txt (compared, if there)
        """,
        descriptors="descriptors_imagenet.json",
        read=read_imagenet_a,
    ),
    DataSet(
        name="imagenet-sketch",
        title="ImageNet-Sketch",
        split="all",
        images=50_889,
        classes=1000,
        layout="""
            sketch/n01440764/sketch_0.JPEG, ...
        """,
        descriptors="descriptors_imagenet.json",
        read=read_imagenet_sketch,
    ),
    DataSet(
        name="cub",
        title="CUB-200-2011",
        split="test",
        images=5_794,
        classes=200,
        layout="""
            CUB_200_2011/images/001.Black_footed_Albatross/Black_..._796111.jpg, ...
            CUB_200_2011/images.txt, classes.txt, image_class_labels.txt, train_test_split.txt
        """,
        descriptors="descriptors_cub.json",
        read=read_cub,
    ),
    DataSet(
        name="pets",
        title="Oxford-IIIT Pet",
        split="test",
        images=3_669,
        classes=37,
        layout="""
            oxford-iiit-pet/images/Abyssinian_201.jpg, ...
            oxford-iiit-pet/annotations/test.txt
        """,
        descriptors="descriptors_pets.json",
        read=read_pets,
    ),
    DataSet(
        name="food101",
        title="Food-101",
        split="test",
        images=25_250,
        classes=101,
        layout="""
            food-101/images/apple_pie/1011328.jpg, ...
            food-101/meta/test.json
        """,
        descriptors="descriptors_food101.json",
        read=read_food101,
    ),
    DataSet(
        name="places365",
        title="Places365-Standard",
        split="validation",
        images=36_500,
        classes=365,
        layout="""
            val_large/Places365_val_00000001.jpg, ... (or val_256)
            categories_places365.txt, places365_val.txt
        """,
        descriptors="descriptors_places365.json",
        read=read_places365,
    ),
    DataSet(
        name="dtd",
        title="Describable Textures (DTD)",
        split="test 1",
        images=1_880,
        classes=47,
        layout="""
            dtd/images/banded/banded_0002.jpg, ...
            dtd/labels/test1.txt
        """,
        descriptors="descriptors_dtd.json",
        read=read_dtd,
    ),
)

DATASETS: dict[str, DataSet] = {dataset.name: dataset for dataset in _ALL}
"""Every data set, in the order of the paper's tables."""
