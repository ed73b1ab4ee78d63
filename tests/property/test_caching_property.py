"""Which files of peers' jobs go: never a needed one, never too many, the longest unused first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from copernicus.scheduling.caching import CachedFile, what_goes

NAMES = st.sampled_from([f"{number:02}" for number in range(12)])
FILES = st.dictionaries(NAMES, st.builds(CachedFile, st.integers(0, 9), st.integers(0, 20)))


@given(FILES, st.sets(NAMES), st.integers(1, 60), st.integers(0, 25))
def test_what_goes_is_the_least_that_helps_and_nothing_that_is_needed(
    files: dict[str, CachedFile], needed: set[str], bound: int, before: int
) -> None:
    going = what_goes(files, needed, bound, before)
    may_go = {name for name in files if name not in needed and files[name].used < before}
    assert len(going) == len(set(going))
    assert set(going) <= may_go

    stay = [name for name in files if name not in going]
    kept = sum(files[name].size for name in stay)
    assert kept <= bound or not may_go & set(stay)
    assert not going or kept + files[going[-1]].size > bound

    oldest_left = min((files[name].used for name in may_go & set(stay)), default=before)
    assert all(files[name].used <= oldest_left for name in going)
