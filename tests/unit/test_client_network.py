"""Handles and transactions: what assignments mean as edits; no server is asked."""

import pytest

from copernicus.client.edits import Editing
from copernicus.client.files import File, distinct_names, plain_of, target_for
from copernicus.client.network import Instance
from copernicus.client.values import RemoteFile
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import edits
from copernicus.protocol import EditReply, PreviewReply


class Recorder(Editing):
    """The editing half of a project, which keeps what it would send."""

    def __init__(self):
        self.sent = []
        super().__init__()

    def _commit(self, edits, expected_revision):
        self.sent.append((list(edits), expected_revision))
        return EditReply(len(self.sent), 0)

    def _preview(self, edits, expected_revision):
        return PreviewReply(0, 0, jobs=len(edits))


@pytest.fixture
def project():
    return Recorder()


def only(project):
    assert len(project.sent) == 1
    return project.sent[0][0]


def test_a_transaction_is_sent_once_at_its_end_with_everything_in_order(project):
    with project.transaction(expected_revision=4) as transaction:
        prep = project.add("prep", "gromacs.grompp", map=["conf"])
        run = project.add("run", "gromacs.mdrun", map="tpr")
        run["tpr"] = prep.out.tpr
        run["nsteps"] = 1000
        project.activate()
        assert project.sent == []

    assert project.sent == [
        (
            [
                edits.AddInstance("prep", "gromacs.grompp", ("conf",), held=True),
                edits.AddInstance("run", "gromacs.mdrun", ("tpr",), held=True),
                edits.Connect("prep.out.tpr", "run.in.tpr"),
                edits.SetInput("run.in.nsteps", 1000),
                edits.Activate(),
            ],
            4,
        )
    ]
    assert transaction.reply == EditReply(1, 0)


def test_inputs_are_also_attributes(project):
    run = Instance(project, "fe/coulomb")
    with project.transaction():
        run.inputs.x = 3
        run.inputs["in"] = 4
        run.inputs.conf[2] = 5
        del run.inputs.x
        run.inputs.conf.append(run.outputs.y)

    assert only(project) == [
        edits.SetInput("fe/coulomb.in.x", 3),
        edits.SetInput("fe/coulomb.in.in", 4),
        edits.SetInput("fe/coulomb.in.conf[2]", 5),
        edits.ClearInput("fe/coulomb.in.x"),
        edits.Connect("fe/coulomb.out.y", "fe/coulomb.in.conf[+]"),
    ]


def test_a_transaction_may_be_only_previewed_and_sends_no_edit_and_no_file(project, tmp_path):
    class Files:
        def described(self, paths):
            return [File("0" * 64, 3, path.name) for path in paths]

    project.files = Files()
    with project.transaction(preview=True) as transaction:
        project.set("run.in.nsteps", 5)
        project.set("run.in.tpr", tmp_path / "a.tpr")

    assert transaction.preview == PreviewReply(0, 0, jobs=2)
    assert transaction.reply is None
    assert project.sent == []


def test_a_transaction_that_breaks_sends_nothing_and_can_be_tried_again(project):
    with pytest.raises(BadValue), project.transaction():
        project.add("a", "m.f")["x"][-1] = 3

    assert project.sent == []
    project.add("b", "m.f")
    assert only(project) == [edits.AddInstance("b", "m.f", (), held=True)]


def test_transactions_do_not_nest(project):
    with project.transaction(), pytest.raises(Conflict), project.transaction():
        pass


def test_an_empty_transaction_asks_the_server_nothing(project):
    with project.transaction():
        pass

    assert project.sent == []


def test_elements_and_members_are_addressed_by_brackets(project):
    prep = Instance(project, "prep")

    with project.transaction():
        prep["conf"][2] = 7
        prep["conf"].append(8)
        del prep["conf"][0]
        prep["settings"]["dt"] = 0.002
        del prep["mdp"]

    assert only(project) == [
        edits.SetInput("prep.in.conf[2]", 7),
        edits.SetInput("prep.in.conf[+]", 8),
        edits.ClearInput("prep.in.conf[0]"),
        edits.SetInput("prep.in.settings.dt", 0.002),
        edits.ClearInput("prep.in.mdp"),
    ]


def test_a_list_of_outputs_and_values_becomes_connections_element_by_element(project):
    runs = [Instance(project, f"run{n}") for n in range(2)]
    pool = Instance(project, "pool")

    pool["trajs"] = [runs[0].out.xtc, 5, runs[1].out["xtc"][3]]

    assert only(project) == [
        edits.SetInput("pool.in.trajs", []),
        edits.Connect("run0.out.xtc", "pool.in.trajs[+]"),
        edits.SetInput("pool.in.trajs[+]", 5),
        edits.Connect("run1.out.xtc[3]", "pool.in.trajs[+]"),
    ]


def test_numpy_values_are_sent_as_plain_numbers(project):
    numpy = pytest.importorskip("numpy")

    project.set("a.in.x", {"n": numpy.int64(3), "v": numpy.array([0.5, 1.5])})

    assert only(project) == [edits.SetInput("a.in.x", {"n": 3, "v": [0.5, 1.5]})]


def test_what_cannot_be_sent_is_refused_before_anything_is_sent(project):
    with pytest.raises(BadValue, match="object is no value"):
        project.set("a.in.x", object())

    assert project.sent == []


def test_paths_anywhere_in_a_value_become_files_in_one_transfer(tmp_path):
    asked = []

    def upload(paths):
        asked.append(list(paths))
        return [File(f"sha-{path.name}", 1, path.name) for path in paths]

    a, b = tmp_path / "a", tmp_path / "b"
    plain = plain_of({"x": [a, b, a], "y": 3}, upload)

    assert asked == [[a, b]]
    assert plain["y"] == 3
    assert [file["$file"] for file in plain["x"]] == ["sha-a", "sha-b", "sha-a"]


def test_renaming_gives_the_handle_of_the_new_name(project):
    assert Instance(project, "fe/run").rename("go").path == "fe/go"


def test_handles_refuse_what_has_no_meaning(project):
    run = Instance(project, "run")

    with pytest.raises(BadValue):
        list(run.out.xtc)
    with pytest.raises(BadValue):
        list(run["tpr"])
    with pytest.raises(BadValue, match="from 0"):
        run["tpr"][-1] = 3


def test_a_files_name_never_leads_out_of_its_folder(tmp_path):
    assert target_for("../../etc/passwd", tmp_path) == tmp_path / "passwd"
    assert target_for("..", tmp_path) == tmp_path / "file"
    assert target_for("a\\b", tmp_path) == tmp_path / "b"
    assert target_for("x", tmp_path / "new.txt") == tmp_path / "new.txt"


def test_files_of_one_name_are_numbered_in_a_folder():
    same = [File(str(n), 1, "traj.xtc") for n in range(11)]

    assert distinct_names(same)[:2] == ["00-traj.xtc", "01-traj.xtc"]
    assert distinct_names([File("1", 1, "a"), File("2", 1, "b")]) == ["a", "b"]


def test_a_remote_file_is_a_value_and_shows_no_secret():
    file = RemoteFile("ab", 2_000, "x.gro", None)

    assert file.plain() == {"$file": "ab", "size": 2000, "name": "x.gro"}
    assert repr(file) == "<x.gro, 2,000 bytes>"
    assert file == RemoteFile("ab", 2_000, "x.gro", object())
    with pytest.raises(NotFound):
        file.read_bytes()
