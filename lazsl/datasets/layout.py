"""What a published data set is: where its files lie, which of its images count, what they show."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lazsl.datasets.class_names import Names
from lazsl.errors import UserError, in_one_line
from lazsl.store.scratch import scratch_folder


@dataclass(frozen=True)
class Split:
    """The images of a data set that count, as found in a folder.

    `truth` has the class of every image by its key: its path below `archive`. `classes` are all
    classes of the data set, shown or not. `others` are classes that it leaves out but whose names
    could be taken for those it has.
    """

    archive: Path
    truth: Mapping[str, str]
    classes: Names
    others: Names = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """A data set as published: `images` and `classes` of its `split`, and how its files lie.

    `descriptors` is the public file of attributes that has its classes. `read` finds the split
    below a folder, or raises a UserError.
    """

    name: str
    title: str
    split: str
    images: int
    classes: int
    layout: str
    descriptors: str
    read: Callable[[Path], Split]


def locate(
    folder: Path,
    title: str,
    inside: tuple[str, ...],
    marks: tuple[str, ...],
    enough: Callable[[Iterable[bool]], bool] = all,
) -> Path:
    """The folder itself, or the first one of `inside` it, that holds what is in `marks`.

    Args:
        folder: where to look.
        title: of the data set.
        inside: names of folders below it.
        marks: names that tell the right folder.
        enough: `all` of them must be there, or `any`.

    Raises:
        UserError: none does; the sentence says what was looked for and what is there.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder that {title} lies in")
    for base in (folder, *(folder / name for name in inside)):
        if enough((base / mark).exists() for mark in marks):
            return base
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    contents = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    places = " or in ".join(("it", *inside))
    wanted = ", ".join(marks) if enough is all else f"{marks[0]}, {marks[1]}, ..."
    raise UserError(
        f"{folder} does not have the layout of {title}: looked for {wanted} in {places}, "
        f"found {contents or 'nothing'}; see lazsl datasets show"
    )


@contextmanager
def as_published(base: Path, name: str) -> Iterator[Path]:
    """A folder in which `base` goes by the name that torchvision's reader insists on."""
    with scratch_folder(f"dataset-{uuid.uuid4().hex}") as root:
        link = root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(base.resolve(), target_is_directory=True)
        yield root


@contextmanager
def reading(title: str, base: Path) -> Iterator[None]:
    """Troubles of a reader with the files it finds, in one sentence."""
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        # torchvision offers to download, which never happens here.
        reason = in_one_line(error).partition(" You can ")[0]
        raise UserError(
            f"{base} cannot be read as {title}: {reason}; its files must be as published"
        ) from None
