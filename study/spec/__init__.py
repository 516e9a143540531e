"""The spec language: one YAML file that says what is compared, at which settings, how often."""

from study.spec.errors import Place, Problem, SpecError
from study.spec.load import load_spec
from study.spec.schema import json_schema
from study.spec.spec import Spec
from study.spec.starter import starter

__all__ = ["Place", "Problem", "Spec", "SpecError", "json_schema", "load_spec", "starter"]
