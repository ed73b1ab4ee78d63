"""Values with units: converted where the dimension is right, refused where it is not."""

import subprocess
import sys
from decimal import Decimal

import numpy
import pint
import pytest

from copernicus.errors import BadValue
from copernicus.model.types import DictType, FloatType, IntType, ListType, accepts, check
from copernicus.model.units import magnitude, same_unit
from copernicus.model.values import to_plain


@pytest.mark.parametrize(
    ("given", "unit", "number"),
    [
        ("25 degC", "K", 298.15),
        ("25°C", "K", 298.15),
        ("300K", "K", 300.0),
        ("2 kcal/mol", "kJ/mol", 8.368),
        ("0.5 nm", "angstrom", 5.0),
        ("100 ps", "ns", 0.1),
        ("1e-3 ns", "ps", 1.0),
        ("2 ps^-1", "1/ps", 2.0),
        ("2 ps-1", "1/fs", 0.002),
        ("1 / ps", "1/ps", None),
        ("3 kJ mol⁻¹ nm⁻²", "kJ/mol/nm^2", 3.0),
        ("3 kJ/(mol nm^2)", "kJ mol^-1 nm^-2", 3.0),
        ("90 min", "h", 1.5),
        ("5 frames", "frames", 5.0),
        ("0.123456789012345678 ns", "ns", 0.123456789012345678),
    ],
)
def test_a_quantity_is_a_number_in_the_unit_of_its_port(given, unit, number):
    if number is None:
        with pytest.raises(BadValue):
            magnitude(given, unit)
    else:
        assert magnitude(given, unit) == number


@pytest.mark.parametrize(
    "text", ["", "K", "fast", "1 2 3", "nan K", "inf K", "K 5", "25", "0x10 K"]
)
def test_what_is_no_quantity_is_none(text):
    with pytest.raises(BadValue, match="expected float"):
        check(FloatType("K"), text, "run.in.t")


@pytest.mark.parametrize(
    ("given", "unit", "said"),
    [
        (
            "5 ns",
            "K",
            r"expected float \(K\) at run.in.t, got str '5 ns': ns is .*time.*K of .*temp",
        ),
        ("5 foo", "K", "'foo' is no known unit"),
        ("5 ns", "frames", "frames is a unit that others are not converted to"),
        ("1e999 ns", "ps", "expected float"),
        ("1 9**9**9**9**9", "K", "no known unit"),
        ("1 (((((((((((K", "K", "no known unit"),
        ("5 __import__('os').getcwd()", "K", "no known unit"),
        ("5 m**99", "K", "length"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_both_units(given, unit, said):
    with pytest.raises(BadValue, match=said):
        check(FloatType(unit), given, "run.in.t")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["a" * 60 + "!", "(" * 70 + "!", "a**1" * 18 + "!", "a 1 " * 19])
def test_what_is_meant_to_keep_the_server_busy_is_refused_at_once(unit):
    with pytest.raises(BadValue):
        check(FloatType("K"), f"5 {unit}", "x")


def test_units_are_converted_wherever_a_number_stands():
    assert check(ListType(FloatType("ps")), ["1 ns", 2], "x") == [1000.0, 2.0]
    assert check(DictType(IntType("ps")), {"a": "0.1 ns"}, "x") == {"a": 100}
    with pytest.raises(BadValue, match="expected int"):
        check(IntType("ps"), "0.5 fs", "x")
    with pytest.raises(BadValue, match="expected float at x, got str '25 degC'"):
        check(FloatType(), "25 degC", "x")


def test_quantities_of_pint_are_values():
    units = pint.UnitRegistry()
    exact = pint.UnitRegistry(non_int_type=Decimal)

    assert check(FloatType("K"), to_plain(units.Quantity(25.0, "degC"))) == 298.15
    assert check(FloatType("kJ/mol"), to_plain(2 * units.kcal / units.mol)) == 8.368
    assert check(FloatType("1/fs"), to_plain(1 / units.ps)) == 0.001
    assert check(FloatType("ns"), to_plain(units.Quantity(numpy.float64(1.5), "ps"))) == 0.0015
    lengths = to_plain(units.Quantity(numpy.array([1.0, 2.5]), "nm"))
    assert check(ListType(FloatType("angstrom")), lengths) == [10.0, 25.0]
    assert check(FloatType(), to_plain(units.Quantity(50, "percent"))) == 0.5
    assert check(FloatType("ps"), to_plain(exact.Quantity(Decimal("0.1"), "ns"))) == 100.0


def test_ports_are_connected_only_in_the_same_unit():
    assert same_unit("1/ps", "ps^-1")
    assert not same_unit("degC", "K")
    assert not same_unit("frames", "ps")
    assert accepts(FloatType("kJ/mol"), FloatType("kJ mol-1"))
    assert accepts(FloatType("K"), FloatType())
    assert not accepts(FloatType("kJ/mol"), FloatType("kcal/mol"))
    assert not accepts(ListType(FloatType("ps")), ListType(IntType("ns")))


@pytest.mark.parametrize("number", [10**400, 2**63, -(2**63) - 1, 1e300])
def test_whole_numbers_have_64_bits(number):
    with pytest.raises(BadValue):
        check(IntType(), number)


def test_pint_is_loaded_only_when_something_is_converted():
    code = (
        "import sys, copernicus.cli.app, copernicus.client, copernicus.server.app;"
        "from copernicus.model.types import FloatType, check;"
        "check(FloatType('K'), 300); sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
