"""The drawn world of birds, and the training of the model that knows it."""
