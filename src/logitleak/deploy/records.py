"""Messages as Flower carries them. Nothing of an answer is decoded that was not asked for."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from torch import Tensor

from logitleak.deploy import arrays
from logitleak.federation.answers import Form, Shape, printable
from logitleak.types import Absence, Payload

TENSORS, SCALARS, ROUND, PUBLIC = "tensors", "scalars", "round", "public"


def to_records(payload: Payload, round: int, public: str = "") -> RecordDict:
    """A message as Flower carries it; the server's says which public set it is about."""
    made = RecordDict({SCALARS: ConfigRecord(dict(payload.scalars))})
    if payload.tensors:
        made[TENSORS] = to_arrays(payload.tensors)
    made[ROUND] = ConfigRecord({ROUND: round, PUBLIC: public})
    return made


def to_arrays(tensors: Mapping[str, Tensor]) -> ArrayRecord:
    """Tensors as Flower carries them, in pieces of a few MiB each, however large they are."""
    return ArrayRecord({name: _array(value) for name, value in tensors.items()})


def _array(value: Tensor) -> Array:
    name = str(value.dtype).removeprefix("torch.")
    return Array(dtype=name, shape=tuple(value.shape), stype=arrays.KIND, data=arrays.encode(value))


def read_answer(records: RecordDict, form: Form) -> Payload | Absence:
    """A client's answer, of which nothing is decoded that was not asked for."""
    given, scalars = _array_table(records), read_scalars(records)
    for name in given:
        if name not in form.tensors:
            return Absence(f"sent {printable(name)!r}, which nobody asked for")
    tensors = {}
    for name, array in given.items():
        try:
            said = arrays.declared(array.dtype, array.shape)
            tensors[name] = arrays.decode(array.data, array.stype, said, form.tensors[name])
        except arrays.BadArray as error:
            return Absence(f"{name} {error}")
    return Payload(tensors, scalars)


def _array_table(records: RecordDict) -> dict[str, Array]:
    return dict(records.array_records[TENSORS]) if TENSORS in records.array_records else {}


def read_scalars(records: RecordDict) -> dict[str, int | float | str]:
    """Scalars of an answer; whatever else Flower could carry here is left for the form to refuse."""
    table: Mapping[str, object] = records.config_records.get(SCALARS, {})
    return {str(name): v if isinstance(v, int | float | str) else repr(v)[:100] for name, v in table.items()}


def read_number(records: RecordDict, clients: int) -> int | Absence:
    """Which client a node says that it is, or what is wrong with that."""
    value = read_scalars(records).get("client")
    if type(value) is int and 0 <= value < clients:
        return value
    return Absence(f"it says {printable(str(value), 40)!r}")


def read_tensors(record: ArrayRecord) -> dict[str, Tensor]:
    """The tensors that this node kept, or that its server sent."""
    table = {}
    for name, array in record.items():
        said: Shape = arrays.declared(array.dtype, array.shape)
        table[name] = arrays.decode(array.data, array.stype, said, said)
    return table
