"""The rules that ``make mutations`` takes out stand where it looks for them, as do their tests."""

from __future__ import annotations

import ast

import pytest

from mutations.rules import ROOT, Rule, read_rules

RULES = read_rules()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_can_be_taken_out_and_its_test_is_there(rule: Rule) -> None:
    ast.parse(rule.taken_out_of((ROOT / rule.file).read_text()))
    file, _, name = rule.test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_no_rule_is_named_twice() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names)) >= 10
