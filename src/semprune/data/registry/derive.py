"""Columns that a YAML computes from others: Jinja expressions, the language of the field's harness.

Texts are values and never templates: braces in them stay as they are. Beyond Jinja's own filters there is
``sub(pattern, replacement)``, Python's ``re.sub``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, meta
from jinja2.environment import TemplateExpression
from jinja2.sandbox import SandboxedEnvironment

from semprune.errors import DatasetSchemaError


def _sub(text: str, pattern: str, replacement: str) -> str:
    return re.sub(pattern, replacement, text)


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    environment.filters["sub"] = _sub
    return environment


ENVIRONMENT = _environment()


def expression_columns(expression: str) -> set[str]:
    """Columns that an expression reads.

    Raises:
        TemplateError: If it is no Jinja expression.

    Example:
        >>> sorted(expression_columns("premise.strip() ~ word[0]"))
        ['premise', 'word']
    """
    _compiled(expression)
    return meta.find_undeclared_variables(ENVIRONMENT.parse("{{" + expression + "}}"))


def derive_columns(dataset: str, row: Mapping[str, Any], derive: Mapping[str, str]) -> dict[str, Any]:
    """Add derived columns to a row.

    Args:
        dataset: Name of the data set, for messages.
        row: The row.
        derive: New column -> expression; later ones may read earlier ones.

    Returns:
        A new row.

    Raises:
        DatasetSchemaError: If an expression fails on this row.

    Example:
        >>> derive_columns("toy", {"premise": "It rained. "}, {"opening": "premise.strip()[:-1] ~ ' because'"})
        {'premise': 'It rained. ', 'opening': 'It rained because'}
    """
    columns = dict(row)
    for column, expression in derive.items():
        try:
            columns[column] = _defined(_compiled(expression)(columns))
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DatasetSchemaError(
                dataset, f"derived column '{column}' fails on a row ({error})", "Correct its expression in `derive`."
            ) from error
    return columns


def _defined(value: Any) -> Any:
    if isinstance(value, Undefined):
        raise UndefinedError(value._undefined_message)
    return value


@cache
def _compiled(expression: str) -> TemplateExpression:
    return ENVIRONMENT.compile_expression(expression, undefined_to_none=False)
