"""How good labels are: every method from one set of stored embeddings, and how far to trust them.

stored.py              a run's stored embeddings, a shard at a time
known_truth.py         the truth of a run's images, joined by key and class name
compared_sentences.py  what classes are compared with: names, templates, attributes
methods.py             every method: embeddings and sentences -> class scores
answers.py             what every method says of every image with truth
metrics.py             how right answers are: accuracy, intervals, paired tests
sweeps.py              how accuracy moves with one setting
trust.py               when a label can be trusted (trust_measurement.py: calibration, abstaining)
sections/              all of it as a table, Markdown, JSON and pictures
"""
