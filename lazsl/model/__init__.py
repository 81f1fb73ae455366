"""From crops and sentences to vectors: checkpoints, towers, the encoder, dense regions."""
