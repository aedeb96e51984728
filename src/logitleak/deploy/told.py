"""What a server may hear of a client's trouble."""

from __future__ import annotations

from logitleak.errors import UserError


class Told(UserError):
    """What went wrong at a client and is told to the server: the text names nothing that is the client's."""


class OtherPublicSet(Told):
    """Client and server have different public sets."""
