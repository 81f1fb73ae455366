"""From stored embeddings to predictions, scores, evidence and plans, as tables."""
