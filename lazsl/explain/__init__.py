"""Why one image got its label.

lookup.py           which image is meant, and what it was called
evidence.py         what every region said for every attribute, as stored
recomputed.py       the same from stored embeddings, where no plan is kept
explanation.py      the evidence of two classes
side_by_side.py     the attributes of two classes, paired
maps.py             where in the image an attribute was found
words.py            all of it in a few sentences
pixels.py           the image as it was labelled
picture/            the drawing
whatif.py           the label with an edited label set
label_set_edits.py  what can be edited of a label set, and how it is written
"""
