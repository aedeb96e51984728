"""Lazy tables of what can be plugged in: a name, where its class is, and one line on what it does.

Adding a plug-in means writing its file and adding its line here; the command line, the contract tests and
the report find it. A package of its own adds one without touching this file, by an entry point of the group
``logitleak.<kind>``. Nothing is imported before it is asked for, so that ``logitleak --help`` stays quick.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from logitleak.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """Where a plug-in lives (``"module:Class"``) and what it does, in one line."""

    target: str
    summary: str

    def load(self) -> Any:
        """Import the module and return the class."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


TABLES: dict[str, dict[str, Entry]] = {
    "scheme": {
        "fedmd": Entry(
            "logitleak.schemes.fedmd:FedMD", "Clients share logits on a labelled public set (FedMD)"
        ),
        "dsfl": Entry(
            "logitleak.schemes.dsfl:DSFL", "Clients share softmax outputs on an unlabelled public set (DS-FL)"
        ),
        "cronus": Entry(
            "logitleak.schemes.cronus:Cronus", "Clients share softmax outputs, and their robust mean (Cronus)"
        ),
        "fedgems": Entry(
            "logitleak.schemes.fedgems:FedGEMS", "Clients share the logits that the server asks for (FedGEMS)"
        ),
        "feddf": Entry(
            "logitleak.schemes.feddf:FedDF",
            "Clients share weights, and the server distills their models (FedDF)",
        ),
        "fedkd": Entry(
            "logitleak.schemes.fedkd:FedKD",
            "Clients share compressed gradients of a small model (FedKD)",
        ),
        "fedavg": Entry(
            "logitleak.schemes.fedavg:FedAvg", "Clients share weights or gradients: no distillation (FedAvg)"
        ),
        "fedavg-gan": Entry(
            "logitleak.schemes.fedavg_gan:FedAvgGAN", "FedAvg with a participant that attacks the others"
        ),
    },
    "attack": {
        "pli": Entry(
            "logitleak.attacks.pli:PLI", "Paired-logits inversion: a network per client, Eq. 1 to 11"
        ),
        "gs": Entry(
            "logitleak.attacks.gs:GS", "Inverting gradients: direction and smoothness, for shared weights"
        ),
        "gradients": Entry("logitleak.attacks.gs:GS", "Another name of gs"),
        "dlg": Entry(
            "logitleak.attacks.dlg:DLG", "Deep leakage: images and soft labels from gradients, by L-BFGS"
        ),
        "idlg": Entry("logitleak.attacks.dlg:IDLG", "Deep leakage with labels from the sign of a gradient"),
        "cpl": Entry(
            "logitleak.attacks.cpl:CPL", "Client privacy leakage: patterned dummies and a label term"
        ),
        "mi-face": Entry(
            "logitleak.attacks.mi_face:MIFace", "Model inversion on the confidences of a client's own weights"
        ),
        "mgan-ai": Entry(
            "logitleak.attacks.mgan_ai:MGANAI", "A GAN taught by the shared model which client is which"
        ),
        "gan-attack": Entry(
            "logitleak.attacks.gan_attack:GANAttack", "What a malicious participant's generator has learnt"
        ),
        "secret-revealer": Entry(
            "logitleak.attacks.secret_revealer:SecretRevealer",
            "GMI: a public GAN searched by the client's own weights",
        ),
        "ridge": Entry(
            "logitleak.attacks.ridge:Ridge", "Closed-form PLI: the best linear inversion, no training"
        ),
        "gap": Entry(
            "logitleak.attacks.gap:Gap", "Confidence-gap inversion: what a client believes and others do not"
        ),
        "tbi": Entry(
            "logitleak.attacks.tbi:TBI", "Training-based inversion: the baseline, client logits only"
        ),
    },
    "audit": {
        "identity": Entry("logitleak.audits.identity:Identity", "Who is at which client"),
        "never-queried": Entry(
            "logitleak.audits.records:NeverQueried", "Which images were used, from the transcript alone"
        ),
        "queried": Entry(
            "logitleak.audits.records:Queried", "Which images were used, where the server may ask about them"
        ),
        "shares": Entry("logitleak.audits.shares:Shares", "How much of each class a client holds"),
        "stealing": Entry("logitleak.audits.stealing:Stealing", "How much of a client's model is given away"),
    },
    "prior": {
        "mean": Entry("logitleak.priors.mean:MeanPrior", "The mean sensitive public image, Eq. 8"),
        "paired": Entry(
            "logitleak.priors.paired:Paired", "Insensitive to sensitive, fitted to public people seen in both"
        ),
        "cyclegan": Entry(
            "logitleak.priors.cyclegan:CycleGAN", "CycleGAN, unpaired; the paper's for LAG and LFW, Eq. 9"
        ),
        "deblurgan": Entry(
            "logitleak.priors.deblurgan:DeblurGAN", "After DeblurGAN-v2; the paper's for FaceScrub, Eq. 9"
        ),
    },
    "data": {
        "synthetic": Entry("logitleak.data.synthetic:Synthetic", "Rendered people; ships with the tool"),
        "folder": Entry(
            "logitleak.data.folder:Folder", "root/<identity>/<image>, and a second folder or a degradation"
        ),
        "images": Entry(
            "logitleak.data.images:Images",
            "Any classes, one domain: folders, arrays, saved Hugging Face datasets",
        ),
        "digits": Entry("logitleak.data.digits:Digits", "Handwritten digits that come with scikit-learn"),
        "lfw": Entry(
            "logitleak.data.lfw:LFW", "Labeled Faces in the Wild, deep-funneled, with painted masks"
        ),
        "att": Entry("logitleak.data.att:ATT", "AT&T (ORL) faces, 40 people, 10 images each"),
        "lag": Entry("logitleak.data.lag:LAG", "Large Age-Gap: adult images private, young ones public"),
        "facescrub": Entry(
            "logitleak.data.facescrub:FaceScrub", "FaceScrub, 530 people, in any usual layout"
        ),
    },
    "partition": {
        "identity": Entry(
            "logitleak.data.partition.identity:Identity", "Every person at one client: the paper's"
        ),
        "overlap": Entry("logitleak.data.partition.overlap:Overlap", "Every person at a few clients"),
        "iid": Entry("logitleak.data.partition.iid:IID", "Every image at a random client"),
        "dirichlet": Entry(
            "logitleak.data.partition.dirichlet:Dirichlet",
            "Shares of every class by a Dirichlet distribution",
        ),
        "shards": Entry("logitleak.data.partition.shards:Shards", "A few classes for each client"),
        "quantity": Entry(
            "logitleak.data.partition.quantity:Quantity", "The same classes, and clients of unequal size"
        ),
    },
    "defense": {
        "round": Entry("logitleak.defenses.round:Round", "Fewer digits of every probability"),
        "temperature": Entry("logitleak.defenses.temperature:Temperature", "A softer softmax"),
        "top-k": Entry("logitleak.defenses.top_k:TopK", "Probabilities of the likeliest classes only"),
        "hard-label": Entry("logitleak.defenses.hard_label:HardLabel", "The likeliest class of every row"),
        "clip-confidence": Entry(
            "logitleak.defenses.clip_confidence:ClipConfidence", "No probability above a bound"
        ),
        "gaussian": Entry(
            "logitleak.defenses.gaussian:Gaussian", "Gaussian noise on clipped rows, with an ε"
        ),
        "laplace": Entry("logitleak.defenses.laplace:Laplace", "Laplace noise on clipped rows, with an ε"),
        "sparse": Entry("logitleak.defenses.sparse:Sparse", "Exact answers on a share of the rows only"),
        "hide-column": Entry(
            "logitleak.defenses.hide_column:HideColumn",
            "Columns of one's own classes from a model without private images",
        ),
        "toward-public": Entry(
            "logitleak.defenses.toward_public:TowardPublic",
            "Outputs moved toward those of a model without private images",
        ),
        "pate": Entry(
            "logitleak.defenses.pate:Pate", "Noisy votes of teachers on shares of the images, with an ε"
        ),
        "dp-sgd": Entry(
            "logitleak.defenses.dp_sgd:DPSGD",
            "Clipped, noised gradients of private images, with an ε (extra dp)",
        ),
        "nfdp": Entry("logitleak.defenses.nfdp:NFDP", "Private images are a part, drawn once"),
        "early-stop": Entry("logitleak.defenses.early_stop:EarlyStop", "Fewer epochs on private images"),
        "label-smoothing": Entry(
            "logitleak.defenses.label_smoothing:LabelSmoothing",
            "A share of private labels goes to all classes",
        ),
        "mixup": Entry("logitleak.defenses.mixup:Mixup", "Mixtures of two private images in place of each"),
        "dropout": Entry(
            "logitleak.defenses.dropout:Dropout", "Features are left out while private images are learnt"
        ),
        "bido": Entry(
            "logitleak.defenses.bido:BiDO", "Features that depend little on private images, by HSIC"
        ),
    },
    "aggregator": {
        "plain": Entry("logitleak.aggregation.plain:Plain", "The server sees every upload"),
        "secure-sum": Entry(
            "logitleak.aggregation.secure_sum:SecureSum",
            "The server sees the sum, by masks that cancel in pairs",
        ),
        "ckks": Entry(
            "logitleak.aggregation.ckks:CKKS", "Clients encrypt and decrypt, the server adds (extra he)"
        ),
    },
    "degradation": {
        "blur": Entry("logitleak.data.degrade.blur:Blur", "Box blur of any size"),
        "mask": Entry("logitleak.data.degrade.mask:Mask", "A painted face mask in the aligned frame"),
    },
    "model": {
        "cnn": Entry("logitleak.models.cnn:CNN", "The paper's classifier: one convolution, one linear layer"),
        "mlp": Entry("logitleak.models.mlp:MLP", "One hidden layer on the pixels"),
        "resnet": Entry("logitleak.models.resnet:ResNet", "A small residual network"),
        "resnet8": Entry(
            "logitleak.models.residual:ResNet8", "ResNet-8 with group normalization, for small images"
        ),
        "resnet18": Entry(
            "logitleak.models.residual:ResNet18", "ResNet-18 with group normalization, for small images"
        ),
        "lenet": Entry("logitleak.models.lenet:LeNet", "LeNet-like, for images of 16 to 32 pixels"),
    },
    "metric": {
        "ssim": Entry("logitleak.metrics.image:SSIM", "Structural similarity, Gaussian window 11, on [0, 1]"),
        "mse": Entry("logitleak.metrics.image:MSE", "Mean squared error on [0, 1]"),
        "psnr": Entry("logitleak.metrics.image:PSNR", "Peak signal-to-noise ratio in decibels"),
        "tv": Entry("logitleak.metrics.image:TV", "Total variation of the reconstruction alone"),
    },
    "tracker": {
        "mlflow": Entry("logitleak.trackers.mlflow:MLflow", "MLflow, as a file store"),
        "wandb": Entry("logitleak.trackers.wandb:WandB", "Weights & Biases, as offline runs"),
    },
}


def entries(kind: str) -> dict[str, Entry]:
    """All plug-ins of one kind by name, in the order they are listed: those of the tool, then those of packages that
    are installed beside it. A name of the tool's cannot be taken."""
    added = {name: entry for name, entry in _installed(kind).items() if name not in TABLES[kind]}
    return TABLES[kind] | added


@cache
def _installed(kind: str) -> dict[str, Entry]:
    """What installed packages add, by the entry points that they declare; nothing is imported for that."""
    return {
        point.name: Entry(point.value, f"Of the package {point.dist.name if point.dist else point.module}")
        for point in sorted(entry_points(group=f"logitleak.{kind}"), key=lambda point: point.name)
    }


def names(kind: str) -> list[str]:
    """The registered names of one kind, in the order they are listed."""
    return list(entries(kind))


def is_own(name: str) -> bool:
    """Whether a model's name says where its code is, ``module:function``, rather than that it is registered."""
    return ":" in name


def check(kind: str, name: str) -> None:
    """Raise a one-line `UserError` with a suggestion when nothing of that name is registered."""
    if name not in entries(kind):
        raise UserError(f'No {kind} is called "{name}".{did_you_mean(name, entries(kind))}')


def load(kind: str, name: str) -> Any:
    """Import and return the class registered under this name.

    Raises:
        UserError: the name is unknown (the message suggests the nearest one), or a package that was installed beside
            the tool does not hold what it says.
    """
    check(kind, name)
    entry = entries(kind)[name]
    if name in TABLES[kind]:
        return entry.load()
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise UserError(f'The {kind} "{name}" ({entry.target}) cannot be loaded: {error}.') from None


def settings(what: str, model: type[BaseModel], values: Mapping[str, Any]) -> Any:
    """Parse a plug-in's settings.

    Args:
        what: how to call it in an error, for example ``"attack pli"``.
        model: the plug-in's ``Settings``.
        values: what the user gave.

    Raises:
        UserError: an unknown key (with a suggestion) or a value out of range; one line.
    """
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f'{what}: "{key}" must be a finite number (given: {value}).')
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(describe(error, what, model)) from None


def setting_names(kind: str, name: str) -> list[str]:
    """The settings of a plug-in; none where nothing of that name is registered, or it has none."""
    model = getattr(load(kind, name), "Settings", None) if name in entries(kind) else None
    return [] if model is None else list(model.model_fields)


def describe(
    error: ValidationError,
    what: str,
    model: type[BaseModel],
    places: Callable[[list[str]], list[str]] = lambda path: [],
) -> str:
    """The first problem of a pydantic validation, as one line that says what to do.

    Args:
        error: what pydantic raised.
        what: how to call what was validated.
        model: what it was validated as.
        places: where else a setting may belong that is unknown where it was given, from its path.
    """
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        elsewhere = " or ".join(f'"{place}"' for place in places(path))
        meant = did_you_mean(path[-1], set(_fields_at(model, path[:-1])))
        return f'{what} has no setting "{".".join(path)}".{f" Did you mean {elsewhere}?" if elsewhere else meant}'
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    where = f': "{".".join(path)}"' if path else ""
    given = "" if first["type"] in ("missing", "value_error") else f" (given: {first['input']!r})"
    return f"{what}{where}: {message}{given}."


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Field names of the model nested at this path, also where it is a value of a mapping."""
    nested: Any = model
    for part in path:
        if get_args(nested)[:1] == (str,):
            nested = get_args(nested)[1]
        elif _is_model(nested) and part in nested.model_fields:
            nested = nested.model_fields[part].annotation
        else:
            return []
    return list(nested.model_fields) if _is_model(nested) else []


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
