"""From an image's bytes to model-ready crops: decoding, boxes, framing, crops."""
