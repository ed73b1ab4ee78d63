"""Free-energy surfaces, populations, errors and seeds on distributions with known answers."""

from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from copernicus.errors import BadValue  # noqa: E402
from copernicus.modules.analysis.surface import (  # noqa: E402
    BASINS,
    GAS_CONSTANT,
    assign_basins,
    basin_populations,
    bootstrap,
    estimate_fractions,
    free_energy_surface,
    least_counts,
    without_start,
    wrap,
)

REFERENCE = Path(__file__).parents[1] / "data" / "reference_phi_psi_600K.npz"


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as data:
        return [data[f"traj{number}"].astype(float) for number in range(8)]


def test_wrap_is_periodic():
    angles = np.array([-180.0, 180.0, 190.0, -190.0, 540.0, 0.0, -1e-15])
    np.testing.assert_allclose(wrap(angles), [-180, -180, -170, 170, -180, 0, 0], atol=1e-12)
    assert wrap(np.array([np.nextafter(-180.0, -181.0)]))[0] < 180.0


def test_a_uniform_distribution_is_flat():
    centres = np.arange(-175.0, 180.0, 10.0)
    every_cell = np.array([(phi, psi) for phi in centres for psi in centres])
    surface = free_energy_surface([every_cell, every_cell], 300.0)
    assert not np.any(surface.free_energy)
    assert not np.any(surface.error)
    np.testing.assert_allclose(surface.centres, centres)


def test_two_cells_differ_by_kt_log_of_their_ratio():
    many, few = np.tile([-75.0, 65.0], (80, 1)), np.tile([55.0, -45.0], (20, 1))
    surface = free_energy_surface([np.concatenate([many, few])], 600.0)
    assert surface.free_energy[10, 24] == 0.0
    assert surface.free_energy[23, 13] == pytest.approx(GAS_CONSTANT * 600 * np.log(4))
    assert np.isnan(surface.free_energy).sum() == 36 * 36 - 2
    assert np.isnan(surface.error).all()


def test_a_von_mises_well_is_recovered():
    """p ~ exp(kappa cos(x - x0)) in each angle means F = kT kappa (2 - cos - cos)."""
    rng = np.random.default_rng(7)
    kappa, centre = 2.0, np.radians([170.0, -60.0])
    draws = [
        np.degrees(np.column_stack([rng.vonmises(mu, kappa, 50_000) for mu in centre]))
        for _ in range(4)
    ]
    surface = free_energy_surface(draws, 300.0, bins=36)
    x = np.radians(surface.centres)
    phi, psi = np.cos(x - centre[0])[:, None], np.cos(x - centre[1])[None, :]
    kt = GAS_CONSTANT * 300.0
    exact = kt * kappa * (2 - phi - psi)
    exact -= exact.min()
    well = exact < 3 * kt
    difference = (surface.free_energy - exact)[well]
    difference -= difference.mean()
    counting_noise = kt * np.sqrt((1 / surface.counts[well]).mean())
    assert np.sqrt((difference**2).mean()) < 1.15 * counting_noise < 0.1 * kt
    assert np.median(surface.error[well]) < 0.1 * kt


def test_reference_run_at_600_kelvin(reference):
    pooled = np.concatenate(reference)
    assert np.mean(pooled[:, 0] > 0) == pytest.approx(0.080, abs=5e-4)
    surface = free_energy_surface(reference, 600.0)
    phi, psi = np.unravel_index(np.nanargmin(surface.free_energy), surface.free_energy.shape)
    assert (abs(surface.centres[phi] + 150), abs(surface.centres[psi] - 150)) < (20, 20)
    assert surface.counts.sum() == len(pooled)

    basins = basin_populations(reference)
    assert sum(estimate.value for estimate in basins.values()) == pytest.approx(1.0)
    right = basins["C7ax"].value + basins["alpha_L"].value
    assert right == pytest.approx(0.080, abs=0.005)
    assert basins["C5"].value == pytest.approx(0.464, abs=0.005)
    assert basins["C7eq"].value == pytest.approx(0.415, abs=0.005)
    assert 0.005 < basins["C7ax"].error < 0.03
    assert basins["C7ax"].low < basins["C7ax"].value < basins["C7ax"].high


def test_basins_are_nearest_on_the_torus():
    names = list(BASINS)
    assert [names[index] for index in assign_basins(np.array(list(BASINS.values())))] == names
    across_the_edge = np.array([[175.0, 170.0], [-150.0, -175.0], [178.0, -179.0]])
    assert {names[index] for index in assign_basins(across_the_edge)} == {"C5"}


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    """40 trajectories whose own fractions scatter: 95 % intervals should cover about 95 %."""
    rng = np.random.default_rng(11)
    truth, covered, errors, values = 0.3, 0, [], []
    for experiment in range(200):
        own = rng.beta(6.0, 14.0, size=40)
        left = rng.binomial(200, own)
        counts = np.column_stack([left, 200 - left])
        estimate = estimate_fractions(counts, resamples=300, seed=experiment)[0]
        covered += estimate.low <= truth <= estimate.high
        errors.append(estimate.error)
        values.append(estimate.value)
    assert 0.89 <= covered / 200 <= 0.985
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_one_trajectory_has_a_value_but_no_error():
    estimate = estimate_fractions(np.array([[3, 1]]))[0]
    assert estimate.value == 0.75
    assert np.isnan([estimate.error, estimate.low, estimate.high]).all()


def test_bootstrap_depends_on_the_seed_only():
    counts = np.random.default_rng(0).integers(1, 9, size=(6, 3))

    def draw(seed):
        return bootstrap(counts, lambda total: total / total.sum(), resamples=20, seed=seed)

    np.testing.assert_array_equal(draw(4), draw(4))
    assert not np.array_equal(draw(4), draw(5))


def test_seeds_lie_in_the_least_visited_cells():
    def at(phi, psi, frames):
        return np.tile([float(phi), float(psi)], (frames, 1))

    first = np.concatenate([at(-70, 70, 50), at(70, -70, 3)])
    second = np.concatenate([at(-150, 150, 40), at(10, 10, 1), at(70, -70, 2)])
    seeds = least_counts([first, second], 4)
    assert (seeds[0].trajectory, seeds[0].frame) == (1, 40)
    assert [(seed.phi, seed.psi) for seed in seeds] == [(10, 10), (70, -70), (-150, 150), (-70, 70)]
    for seed in seeds:
        phi, psi = (first, second)[seed.trajectory][seed.frame]
        assert (seed.phi, seed.psi) == (phi, psi)


def test_more_seeds_than_cells_go_round_again_without_repeating_a_frame():
    path = np.array([[0.0, 0.0]] * 5 + [[90.0, 90.0]] * 3)
    seeds = least_counts([path], 7)
    assert len({(seed.trajectory, seed.frame) for seed in seeds}) == 7
    assert [seed.phi for seed in seeds] == [90, 0, 90, 0, 90, 0, 0]
    with pytest.raises(BadValue, match="9 starting points are wanted, but there are 8 frames"):
        least_counts([path], 9)


def test_seeds_are_reproducible_and_ties_fall_by_the_seed(reference):
    assert least_counts(reference, 8, seed=3) == least_counts(reference, 8, seed=3)
    assert least_counts(reference, 8, seed=3) != least_counts(reference, 8, seed=4)


def test_the_start_of_trajectories_can_be_dropped():
    long, short = np.arange(10.0).reshape(5, 2), np.zeros((2, 2))
    kept = without_start([long, short], 2)
    assert [trajectory.tolist() for trajectory in kept] == [long[2:].tolist()]


@pytest.mark.parametrize(
    ("trajectories", "message"),
    [
        ([], "no frame"),
        ([np.zeros((0, 2))], "no frame"),
        ([np.zeros((3, 2)), np.zeros(3)], r"trajectory 1 has shape \(3,\)"),
        ([np.full((2, 2), np.nan)], "finite angles"),
    ],
)
def test_what_is_not_angles_is_refused(trajectories, message):
    for analyse in (
        lambda: free_energy_surface(trajectories, 300.0),
        lambda: basin_populations(trajectories),
        lambda: least_counts(trajectories, 1),
    ):
        with pytest.raises(BadValue, match=message):
            analyse()
