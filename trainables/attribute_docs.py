"""The texts below the fields of a configuration class, read from its source when somebody asks.

pydantic can read them when a class is made (`use_attribute_docstrings`); that took a quarter of `plan` and `status`,
which show none of them.
"""

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def attribute_docs(cls: type[BaseModel]) -> dict[str, str]:
    """Field -> text, those of base classes too; none for a class whose source is not at hand."""
    docs: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        docs |= _own(each)
    return {name: text for name, text in docs.items() if name in cls.model_fields}


@cache
def _own(cls: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # made by a program, or builtin
        return {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
