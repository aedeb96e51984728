"""A commented configuration for a folder of images, which `logitleak init` writes: what it decides is said in it."""

from __future__ import annotations

import json
from pathlib import Path

from logitleak import config as configs
from logitleak.data.arrays import is_arrays
from logitleak.data.base import UNLABELLED, Survey
from logitleak.data.decode import dimensions
from logitleak.data.folder import images_in
from logitleak.data.images import Images, ImagesSettings
from logitleak.errors import UserError
from logitleak.files import yaml_text
from logitleak.sides import SIDES
from logitleak.stages.check import check

CLIENTS = 4
USUAL = 64
"""Images are not made larger than this without being asked: twice the side is four times the work."""

_TEXT = """\
# {path}: {classes} classes, {private} images{public}.
# `logitleak validate {out}` says what a run takes, `logitleak run {out} --out runs/first` runs it.

noun: class          # what one label stands for in the report: class, person, product
baselines: true      # also train every client alone, and one model on all images: what does federating buy?

data:
  source: images
{where}
  image_size: {side}{side_why}
  protocol: one-domain    # public and private images are of one kind; for masked or blurred twins see docs/data.md
{share}  partition: dirichlet    # or identity (each class at one client), overlap, iid, shards, quantity
  partition_settings: {{alpha: 1.0}}    # 0.1 is strongly skewed, 100 nearly even

federation:
  scheme: {scheme}{scheme_why}
  clients: {clients}
  rounds: 3
  models: [{model}]        # dealt out in turn: cnn, mlp, lenet, resnet8, resnet18, or your own module:function
  server_model: {model}

game:
  design: twins           # every federation runs in two worlds: with and without what a coin decides about
  unit: person-at-client  # one client's images of a class; or person (a class everywhere), or image (one image)

attacks:
  gap: {{}}                 # the one that the verdict rests on
  ridge: {{}}
"""


def starter(path: Path, out: Path) -> str:
    """The text of a configuration for these images; it passes the checks that a run begins with.

    Args:
        path: a folder of class folders, a folder with ``private`` and ``public``, or an .npz or .safetensors file.
        out: where it will be written; the text names it.

    Raises:
        UserError: there are no images, or no federation can be made of them.
    """
    if not path.exists():
        raise UserError(f"There is no {path}; name a folder of class folders, or a file of arrays.")
    side = _side(path)
    arrays = is_arrays(path)
    source = Images(ImagesSettings(private=path if arrays else None), None if arrays else path, side)
    survey = source.survey()
    unlabelled = UNLABELLED in (survey.public or {})
    where = (
        f"  settings: {{private: {json.dumps(str(path))}}}" if arrays else f"  root: {json.dumps(str(path))}"
    )
    share = (
        ""
        if survey.public is not None
        else "  public_share: 0.2       # of each class; the rest is private\n"
    )
    text = _TEXT.format(
        path=path, out=out, classes=len(survey.sensitive), private=sum(survey.sensitive.values()),
        public=_public(survey), where=where, side=side,
        side_why=f"          # inversion networks make squares of side {', '.join(map(str, SIDES))}",
        share=share, scheme="dsfl" if unlabelled else "fedmd",
        scheme_why="            # fedmd and fedgems need a labelled public set" if unlabelled else
        "           # or dsfl, cronus, fedgems, feddf, fedkd, fedavg, fedavg-gan",
        clients=CLIENTS, model="lenet" if side <= 32 else "cnn",
    )  # fmt: skip
    check(configs.parse(yaml_text.parse(text)))
    return text


def _side(path: Path) -> int:
    """The largest side that is no larger than the first image's, and none above `USUAL`."""
    first = None if is_arrays(path) else next(iter(images_in(path, "**/*")), None)
    if first is None:
        return 32
    try:
        smallest = min(dimensions(first))
    except ValueError:
        return 32
    return max((side for side in SIDES if side <= min(smallest, USUAL)), default=SIDES[0])


def _public(survey: Survey) -> str:
    if survey.public is None:
        return ""
    return f", and a public set of {sum(survey.public.values())}"
