"""Train the shipped model, which knows the plates: `python -m studies.plates.training POOL`.

It goes on from the first field guide's model (`studies.fieldguide.training`), whose text tower
knows every phrase and whose image tower knows flat birds. With the phrases' vectors held fast,
1,300 steps of *look* teach the image tower the plates, and 200 of *together* let both towers move.
With `--from-nothing --look 7000 --read 1000 --together 1000 --rate 2e-3` it goes through all three
stages of the first model. What differs from that:

- It learns from several renderings at once: photographs, prints, sketches, dusk. What cannot be
  seen in a rendering is no truth of it: a sketch shows no colour, so phrases that name one are left
  out of the loss wherever colour alone would decide. Paintings are never trained on.
- Crops vary in brightness, contrast, saturation and tint.
- Everything is written down every hundred steps (`checkpoint.pt`), and training goes on from
  there when it is started again. Each step has its own seed, so it sees the crops it would have.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from studies.fieldguide.sample import FIRST_GUIDE
from studies.fieldguide.training import PHRASES, Batch, sigmoid_loss
from studies.plates.batches import ahead, make_batch, sentence
from studies.plates.sample import SHIPPED
from studies.plates.trainer import Trainer


class Stages(Trainer):
    """The three stages, each taken up where it was left."""

    def _batches(self, number: int, captions: int, steps: range) -> Iterator[Batch]:
        seed, size = self.args.seed, self.args.batch
        return ahead(
            lambda step: make_batch(
                self.pool, size, captions, np.random.default_rng([seed, number, step])
            ),
            steps,
        )

    def look(self) -> None:
        """Stage 1: crops against the phrase table."""
        model = self.model

        def losses(steps: range) -> Iterator[torch.Tensor]:
            for batch in self._batches(1, 0, steps):
                table = normalize(self.table, dim=1)
                seen = self.see(batch.crops)
                yield sigmoid_loss(seen, table, model.logit_scale, model.logit_bias, batch)

        parameters = [*model.visual.parameters(), model.logit_scale, model.logit_bias]
        if self.table.requires_grad:
            parameters.append(self.table)
        self.learn("look", parameters, self.args.rate, self.args.look, losses)

    def learn_to_read(self) -> None:
        """Stage 2: sentences against the phrase table; no image is needed."""

        def losses(steps: range) -> Iterator[torch.Tensor]:
            table = normalize(self.table.detach(), dim=1)
            for step in steps:
                rng = np.random.default_rng([self.args.seed, 2, step])
                rows = [[i] for i in rng.permutation(len(PHRASES))[:160].tolist()]
                rows += [
                    rng.integers(len(PHRASES), size=rng.integers(2, 5)).tolist() for _ in range(48)
                ]
                target = normalize(torch.stack([table[row].sum(dim=0) for row in rows]), dim=1)
                sentences = self.read([sentence(row, rng) for row in rows])
                # Close to its own vector, and closer to it than to any other sentence's.
                contrast = cross_entropy(sentences @ target.T * 20, torch.arange(len(rows)))
                yield (1 - (sentences * target).sum(dim=1)).mean() + 0.2 * contrast

        others = {id(p) for p in self.model.visual.parameters()}
        others |= {id(self.model.logit_scale), id(self.model.logit_bias)}
        parameters = [p for p in self.model.parameters() if id(p) not in others]
        self.learn("read", parameters, self.args.rate / 2, self.args.read, losses)

    def together(self) -> None:
        """Stage 3: crops against sentences, both towers."""
        model = self.model

        def losses(steps: range) -> Iterator[torch.Tensor]:
            for batch in self._batches(3, self.args.captions, steps):
                seen, texts = self.see(batch.crops), self.read(batch.texts)
                yield sigmoid_loss(seen, texts, model.logit_scale, model.logit_bias, batch)

        parameters = list(model.parameters())
        self.learn("together", parameters, self.args.rate / 4, self.args.together, losses)


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path, help="a folder of scenes; what is missing is drawn")
    parser.add_argument("--output", type=Path, default=SHIPPED / "model")
    parser.add_argument(
        "--start", type=Path, default=FIRST_GUIDE / "model", help="the model to go on from"
    )
    parser.add_argument("--from-nothing", dest="start", action="store_const", const=None)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pt"))
    parser.add_argument("--scenes", type=int, default=4000, help="pictures drawn for training")
    parser.add_argument("--held-out", type=int, default=24, help="scenes per rendering to test on")
    parser.add_argument("--look", type=int, default=1300, help="steps of stage 1")
    parser.add_argument("--read", type=int, default=0, help="steps of stage 2")
    parser.add_argument("--together", type=int, default=200, help="steps of stage 3")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--captions", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--report", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    trainer = Stages(args)
    trainer.look()
    trainer.learn_to_read()
    trainer.together()


if __name__ == "__main__":
    main()
