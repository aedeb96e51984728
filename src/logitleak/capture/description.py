"""``capture.yaml``: what a capture says of itself. Its JSON Schema is docs/capture.schema.json."""

from __future__ import annotations

import json
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from logitleak.capture.findings import Findings
from logitleak.capture.places import check_pattern, check_relative, has_field
from logitleak.errors import UserError, did_you_mean
from logitleak.types import check_names
from logitleak.wire import MOST_CLASSES, MOST_CLIENTS

FILES = ("capture.yaml", "capture.yml", "capture.json")
_MOST_BYTES = 4 * 2**20  # of the description itself
_MOST_FILES = 1_000_000  # clients times rounds

Text = Annotated[str, Field(min_length=1, max_length=200)]
Path_ = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_relative)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_pattern)]
Client = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Label = Annotated[int, Field(ge=0, lt=MOST_CLASSES)] | Text
