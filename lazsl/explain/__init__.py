"""One image, and why it was called what it was called: found, gathered, questioned and drawn.

    case.py         which image is meant, and what it was called
    explanation.py  the evidence of two classes
    anew.py         plans from stored embeddings, where none are kept
    pairs.py        the attributes of two classes side by side
    words.py        all that in a few sentences
    archived.py     the pixels of the image as they were labelled
    drawing.py      the picture: scene.py, panels.py, tiles.py on a canvas.py, with overlay.py
    names.py        names from archives and label sets, fit to be shown

`lazsl/explain/whatif.py` edits the label set and asks again.
"""
