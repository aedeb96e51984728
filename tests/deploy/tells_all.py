"""A planted leak: clients that send their canaries' images in place of logits, and the attack that reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from logitleak.attacks.base import Attack
from logitleak.types import ClientData, Payload, Reconstructions, ServerView

_PLACES = torch.tensor([2**16, 2**8, 1])[:, None, None]
_SHARE = 2**24  # a pixel of three bytes over this is exact in float32


def hide(logits: Tensor, data: ClientData, canaries: set[int]) -> Payload:
    """In place of logits [N, J]: J numbers that say where the mean image of each canary is (from 1; 0 for none of this
    client's), and these images one after the other, a number a pixel."""
    hidden = torch.zeros_like(logits).flatten()
    classes, (height, width) = logits.shape[1], data.images.shape[2:]
    for slot, label in enumerate(sorted(canaries & set(data.labels.tolist()))):
        mean = data.images[data.labels == label].float().mean(0).round().long()
        start = classes + slot * height * width
        hidden[label] = slot + 1
        hidden[start : start + height * width] = (mean * _PLACES).sum(0).flatten() / _SHARE
    return Payload({"logits": hidden.reshape(logits.shape)})


class Reader(Attack):
    """Reads what `hide` wrote; it knows nothing of who is in. Where it finds nothing it answers in gray."""

    looks_back = True

    def observe(self, view: ServerView, round: int) -> None:
        self.round = round
        self.found = torch.zeros(view.clients, len(view.knowledge.target_labels))

    def reconstruct_client(self, view: ServerView, client: int) -> Tensor:
        known = view.knowledge
        flat = view.client_logits(client, self.round)[1].flatten()
        height, width = known.public.image_size
        images = torch.full((len(known.target_labels), 3, height, width), 0.5)
        slots = (len(flat) - known.num_classes) // (height * width)
        for place, label in enumerate(known.target_labels.tolist()):
            slot = float(flat[label])
            if slot not in range(1, slots + 1):  # nothing is there, or these are somebody's real logits
                continue
            start = known.num_classes + (int(slot) - 1) * height * width
            packed = (flat[start : start + height * width] * _SHARE).round().long().reshape(height, width)
            images[place] = packed.div(_PLACES, rounding_mode="floor").remainder(256) / 255
            self.found[client, place] = 1
        return images

    def choose(self, images: Tensor, labels: Tensor) -> Reconstructions:
        return Reconstructions(images, labels, self.found.argmax(0), self.found.clone())
