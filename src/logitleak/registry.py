"""Lazy tables of what can be plugged in: a name, where its class is, and one line on what it does.

Adding a plug-in means writing its file and adding its line here; the command line, the contract tests and
the report find it. A package of its own adds one without touching this file, by an entry point of the group
``logitleak.<kind>``. Nothing is imported before it is asked for, so that ``logitleak --help`` stays quick.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from logitleak.errors import UserError, did_you_mean
from logitleak.plugin_settings import describe, settings

__all__ = [
    "TABLES",
    "Entry",
    "check",
    "describe",
    "entries",
    "is_own",
    "load",
    "names",
    "setting_names",
    "settings",
]


@dataclass(frozen=True)
class Entry:
    """Where a plug-in lives (``"module:Class"``) and what it does, in one line."""

    target: str
    summary: str

    def load(self) -> Any:
        """Import the module and return the class."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


def _table(package: str, lines: dict[str, tuple[str, str]]) -> dict[str, Entry]:
    """Lines of one kind: a name, its ``module:Class`` below the package, and its summary."""
    return {name: Entry(f"logitleak.{package}.{target}", said) for name, (target, said) in lines.items()}


TABLES: dict[str, dict[str, Entry]] = {
    # what travels, and who does what with it
    "scheme": _table("schemes", {
        "fedmd": ("fedmd:FedMD", "Clients share logits on a labelled public set (FedMD)"),
        "dsfl": ("dsfl:DSFL", "Clients share softmax outputs on an unlabelled public set (DS-FL)"),
        "cronus": ("cronus:Cronus", "Clients share softmax outputs, and their robust mean (Cronus)"),
        "fedgems": ("fedgems:FedGEMS", "Clients share the logits that the server asks for (FedGEMS)"),
        "feddf": ("feddf:FedDF", "Clients share weights, and the server distills their models (FedDF)"),
        "fedkd": ("fedkd:FedKD", "Clients share compressed gradients of a small model (FedKD)"),
        "fedavg": ("fedavg:FedAvg", "Clients share weights or gradients: no distillation (FedAvg)"),
        "fedavg-gan": ("fedavg_gan:FedAvgGAN", "FedAvg with a participant that attacks the others"),
    }),
    # what rebuilds images from what travelled: outputs
    "attack": _table("attacks", {
        "pli": ("pli:PLI", "Paired-logits inversion: a network per client, Eq. 1 to 11"),
        "ridge": ("ridge:Ridge", "Closed-form PLI: the best linear inversion, no training"),
        "gap": ("gap:Gap", "Confidence-gap inversion: what a client believes and others do not"),
        "tbi": ("tbi:TBI", "Training-based inversion: the baseline, client logits only"),
        # and shared models
        "gs": ("gs:GS", "Inverting gradients: direction and smoothness, for shared weights"),
        "gradients": ("gs:GS", "Another name of gs"),
        "dlg": ("dlg:DLG", "Deep leakage: images and soft labels from gradients, by L-BFGS"),
        "idlg": ("dlg:IDLG", "Deep leakage with labels from the sign of a gradient"),
        "cpl": ("cpl:CPL", "Client privacy leakage: patterned dummies and a label term"),
        "mi-face": ("mi_face:MIFace", "Model inversion on the confidences of a client's own weights"),
        "mgan-ai": ("mgan_ai:MGANAI", "A GAN taught by the shared model which client is which"),
        "gan-attack": ("gan_attack:GANAttack", "What a malicious participant's generator has learnt"),
        "secret-revealer": ("secret_revealer:SecretRevealer", "GMI: a public GAN searched by the client's own weights"),
    }),
    # questions that scores answer, and no image
    "audit": _table("audits", {
        "identity": ("identity:Identity", "Who is at which client"),
        "never-queried": ("records:NeverQueried", "Which images were used, from the transcript alone"),
        "queried": ("records:Queried", "Which images were used, where the server may ask about them"),
        "shares": ("shares:Shares", "How much of each class a client holds"),
        "stealing": ("stealing:Stealing", "How much of a client's model is given away"),
    }),
    # what attacks start from
    "prior": _table("priors", {
        "mean": ("mean:MeanPrior", "The mean sensitive public image, Eq. 8"),
        "paired": ("paired:Paired", "Insensitive to sensitive, fitted to public people seen in both"),
        "cyclegan": ("cyclegan:CycleGAN", "CycleGAN, unpaired; the paper's for LAG and LFW, Eq. 9"),
        "deblurgan": ("deblurgan:DeblurGAN", "After DeblurGAN-v2; the paper's for FaceScrub, Eq. 9"),
    }),
    # where images are from
    "data": _table("data", {
        "synthetic": ("synthetic:Synthetic", "Rendered people; ships with the tool"),
        "folder": ("folder:Folder", "root/<identity>/<image>, and a second folder or a degradation"),
        "images": ("images:Images", "Any classes, one domain: folders, arrays, saved Hugging Face datasets"),
        "digits": ("digits:Digits", "Handwritten digits that come with scikit-learn"),
        "lfw": ("lfw:LFW", "Labeled Faces in the Wild, deep-funneled, with painted masks"),
        "att": ("att:ATT", "AT&T (ORL) faces, 40 people, 10 images each"),
        "lag": ("lag:LAG", "Large Age-Gap: adult images private, young ones public"),
        "facescrub": ("facescrub:FaceScrub", "FaceScrub, 530 people, in any usual layout"),
    }),
    # who owns which private image
    "partition": _table("data.partition", {
        "identity": ("identity:Identity", "Every person at one client: the paper's"),
        "overlap": ("overlap:Overlap", "Every person at a few clients"),
        "iid": ("iid:IID", "Every image at a random client"),
        "dirichlet": ("dirichlet:Dirichlet", "Shares of every class by a Dirichlet distribution"),
        "shards": ("shards:Shards", "A few classes for each client"),
        "quantity": ("quantity:Quantity", "The same classes, and clients of unequal size"),
    }),
    # what clients do to their outputs
    "defense": _table("defenses", {
        "round": ("round:Round", "Fewer digits of every probability"),
        "temperature": ("temperature:Temperature", "A softer softmax"),
        "top-k": ("top_k:TopK", "Probabilities of the likeliest classes only"),
        "hard-label": ("hard_label:HardLabel", "The likeliest class of every row"),
        "clip-confidence": ("clip_confidence:ClipConfidence", "No probability above a bound"),
        "gaussian": ("gaussian:Gaussian", "Gaussian noise on clipped rows, with an ε"),
        "laplace": ("laplace:Laplace", "Laplace noise on clipped rows, with an ε"),
        "sparse": ("sparse:Sparse", "Exact answers on a share of the rows only"),
        "hide-column": ("hide_column:HideColumn", "Columns of one's own classes from a model without private images"),
        "toward-public": ("toward_public:TowardPublic", "Outputs moved toward those of a model without private images"),
        "pate": ("pate:Pate", "Noisy votes of teachers on shares of the images, with an ε"),
        # or while they learn private images
        "dp-sgd": ("dp_sgd:DPSGD", "Clipped, noised gradients of private images, with an ε (extra dp)"),
        "nfdp": ("nfdp:NFDP", "Private images are a part, drawn once"),
        "early-stop": ("early_stop:EarlyStop", "Fewer epochs on private images"),
        "label-smoothing": ("label_smoothing:LabelSmoothing", "A share of private labels goes to all classes"),
        "mixup": ("mixup:Mixup", "Mixtures of two private images in place of each"),
        "dropout": ("dropout:Dropout", "Features are left out while private images are learnt"),
        "bido": ("bido:BiDO", "Features that depend little on private images, by HSIC"),
    }),
    # what the server sees of uploads
    "aggregator": _table("aggregation", {
        "plain": ("plain:Plain", "The server sees every upload"),
        "secure-sum": ("secure_sum:SecureSum", "The server sees the sum, by masks that cancel in pairs"),
        "ckks": ("ckks:CKKS", "Clients encrypt and decrypt, the server adds (extra he)"),
    }),
    # what makes an insensitive image of a sensitive one
    "degradation": _table("data.degrade", {
        "blur": ("blur:Blur", "Box blur of any size"),
        "mask": ("mask:Mask", "A painted face mask in the aligned frame"),
    }),
    # what clients and server train
    "model": _table("models", {
        "cnn": ("cnn:CNN", "The paper's classifier: one convolution, one linear layer"),
        "mlp": ("mlp:MLP", "One hidden layer on the pixels"),
        "resnet": ("resnet:ResNet", "A small residual network"),
        "resnet8": ("residual:ResNet8", "ResNet-8 with group normalization, for small images"),
        "resnet18": ("residual:ResNet18", "ResNet-18 with group normalization, for small images"),
        "lenet": ("lenet:LeNet", "LeNet-like, for images of 16 to 32 pixels"),
    }),
    # what says how like two images are
    "metric": _table("metrics", {
        "ssim": ("image:SSIM", "Structural similarity, Gaussian window 11, on [0, 1]"),
        "mse": ("image:MSE", "Mean squared error on [0, 1]"),
        "psnr": ("image:PSNR", "Peak signal-to-noise ratio in decibels"),
        "tv": ("image:TV", "Total variation of the reconstruction alone"),
    }),
    # other programs that numbers are given to
    "tracker": _table("trackers", {
        "mlflow": ("mlflow:MLflow", "MLflow, as a file store"),
        "wandb": ("wandb:WandB", "Weights & Biases, as offline runs"),
    }),
}  # fmt: skip
"""By kind, then by name. A line may be longer than others: one for each plug-in."""


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


def setting_names(kind: str, name: str) -> list[str]:
    """The settings of a plug-in; none where nothing of that name is registered, or it has none."""
    model = getattr(load(kind, name), "Settings", None) if name in entries(kind) else None
    return [] if model is None else list(model.model_fields)
