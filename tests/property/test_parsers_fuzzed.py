"""Everything that reads what others wrote: any bytes are read, or refused in words, in bounds.

Texts come from a grammar of pieces that such files are made of, mutations of good examples, and
plain noise; bombs that are known by name come first. ``--fuzz-inputs`` makes it longer.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from support.parsers import BOMBS, EXAMPLES, PARSERS, PIECES, survives


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", PARSERS)
def test_bombs_are_read_or_refused(name, bomb, tmp_path):
    survives(name, BOMBS[bomb], tmp_path)


@pytest.mark.parametrize("name", PARSERS)
def test_any_text_is_read_or_refused(name, tmp_path_factory, pytestconfig):
    folder = tmp_path_factory.mktemp("parsed")
    number = max(pytestconfig.getoption("--fuzz-inputs") // 10, 10)
    example = EXAMPLES.get(name, b"")
    pieces = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)

    @seed(20_260_000)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
            pieces,
            st.tuples(
                st.integers(0, max(len(example), 1)),
                st.integers(0, 40),
                st.one_of(st.binary(max_size=20), pieces),
            ).map(lambda cut: example[: cut[0]] + cut[2] + example[cut[0] + cut[1] :]),
        )
    )
    def one(content: bytes) -> None:
        survives(name, content, folder)

    one()
