"""A study's folder may be a stranger's: nothing is built that the conf in use does not name. And a `./conf` is code."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from terminal import FAST, Done

from fusionlab.cli import groups_text
from fusionlab.config import instantiate
from fusionlab.config.catalogue import groups
from fusionlab.config.compose import tree
from fusionlab.config.instantiate import part, refuse_foreign, refuse_foreign_plan
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.records.record import find_records, read_record
from fusionlab.records.signature import signature
from fusionlab.study.plan import Plan, read

Say = Callable[..., Done]
Config = dict[str, Any]

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
TINY = {"_target_": "fusionlab.backbones.tiny.Tiny", "_partial_": True, "width": 8, "dropout": 0.0}


class Trap:
    """Things that lie in a stranger's folder, and a file that appears if one of them is run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hit = folder, folder / "hit"
        self.code = f"open({str(self.hit)!r}, 'w')"
        (folder / "it.py").write_text(self.code, encoding="utf-8")
        (folder / "hubconf.py").write_text(f"def it():\n    {self.code}\n", encoding="utf-8")
        (folder / "sprung.py").write_text(self.code, encoding="utf-8")
        (folder / "it.pkl").write_bytes(pickle.dumps(Sprung(self.code)))

    def attacks(self) -> dict[str, Config]:
        """A config by the function that it would call; hydra alone lets many of them pass."""
        hit, file, source = str(self.hit), str(self.folder / "it.pkl"), str(self.folder / "it.py")
        return {
            name: {"_target_": name, **how}
            for name, how in {
                "torch.hub.load": {"repo_or_dir": str(self.folder), "model": "it", "source": "local"},
                "numpy.load": {"file": file, "allow_pickle": True},
                "pandas.read_pickle": {"_args_": [file]},
                "pickle.load": {"_args_": [{"_target_": "builtins.open", "_args_": [file, "rb"]}]},
                "torch.load": {"f": file, "weights_only": False},
                "shutil.copyfile": {"src": source, "dst": hit},
                "pathlib.Path.touch": {"_args_": [{"_target_": "pathlib.Path", "_args_": [hit]}]},
                "pathlib.Path": {"_args_": [hit]},
                "os.system": {"command": f"touch {hit}"},
                "os.mkdir": {"path": hit},
                "subprocess.run": {"args": ["touch", hit]},
                "builtins.open": {"file": hit, "mode": "w"},
                "builtins.eval": {"_args_": [self.code]},
                "builtins.exec": {"_args_": [self.code]},
                "runpy.run_path": {"path_name": source},
                "importlib.import_module": {"name": "sprung"},
                "functools.partial": {"_args_": [{"_target_": "os.mkdir", "path": hit}]},
                "hydra.utils.instantiate": {"_args_": [{"_target_": "os.mkdir", "path": hit}]},
                "hydra.utils.call": {"_args_": [{"_target_": "os.mkdir", "path": hit}]},
                "hydra.utils.get_method": {"path": "os.mkdir"},
                "sprung.anything": {},  # an import is code, too
                "fusionlab.records.files.write_text": {"path": hit, "text": "x"},
                "fusionlab.config.instantiate.instantiate": {"_args_": [{"_target_": "os.mkdir", "path": hit}]},
                "fusionlab.fusion.conv.nn.Conv2d": {"in_channels": 1, "out_channels": 1, "kernel_size": 1},
                "fusionlab.fusion.conv.Conv ": {},
            }.items()
        }


class Sprung:
    """Runs code where it is unpickled."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code,)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trap:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sprung", raising=False)
    return Trap(tmp_path)


GROUPS = ("fusion", "temporal", "backbone", "data", "flow")


def refused(config: Any, group: str) -> str:
    with pytest.raises(UserError) as told:
        part(config, group)
    return str(told.value)


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_is_built_that_no_yaml_of_the_group_names(trap: Trap, group: str) -> None:
    """The attacks that the issue names, and others of their kind; at the top and as a partial."""
    for name, attack in trap.attacks().items():
        for config in (attack, {**attack, "_partial_": True}, {**attack, "_recursive_": False}):
            told = refused(config, group)
            assert f"no yaml in conf/{group} has this `_target_`" in told and name in told, name
            assert f"./conf/{group}/" in told, "what to type"
    assert not trap.hit.exists()
    assert "sprung" not in sys.modules


DEEP: dict[str, Callable[[Config], Any]] = {
    "a value": lambda evil: {**TINY, "width": evil},
    "in a list": lambda evil: {**TINY, "width": [1, [evil]]},
    "in a dict in a list": lambda evil: {**TINY, "width": [{"a": {"b": evil}}]},
    "an argument by place": lambda evil: {**TINY, "_args_": [evil]},
    "below a target that is one": lambda evil: {**TINY, "width": {**TINY, "width": evil}},
    "below a name that is nothing's in a plan": lambda evil: {**TINY, "run": {"run": evil}},
    "below another group's name": lambda evil: {**TINY, "flow": {"fusion": evil}},
    "as a target": lambda evil: {**TINY, "_target_": evil},
    "as a list of targets": lambda evil: {**TINY, "_target_": [evil["_target_"]]},
    "for a part": lambda evil: [evil],
    "beside no target": lambda evil: {"width": evil},
}


@pytest.mark.parametrize("deep", DEEP)
def test_nor_at_any_depth(trap: Trap, deep: str) -> None:
    for attack in trap.attacks().values():
        refused(DEEP[deep](attack), "backbone")
    assert not trap.hit.exists()
    assert "sprung" not in sys.modules


def test_a_part_of_one_group_is_none_of_another() -> None:
    part(TINY, "backbone")
    assert "fusionlab.fusion.conv.Conv" in refused(TINY, "fusion"), "what is allowed there"


@pytest.mark.parametrize(
    "text", ["${oc.env:SECRET}", "${oc.decode:${oc.env:SECRET}}", "a${oc.env:SECRET}b", "${width}"]
)
def test_a_plan_looks_nothing_up(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "24")
    for config in ({**TINY, "width": text}, {**TINY, "dropout": {"fc6": [text]}}, {**TINY, text: 1}):
        told = refused(config, "backbone")
        assert "plain data" in told and text in told and "24" not in told


def test_a_target_that_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHAT", "fusionlab.backbones.tiny.Tiny")
    assert "${oc.env:WHAT}" in refused({**TINY, "_target_": "${oc.env:WHAT}"}, "backbone")


@pytest.mark.parametrize("config", [{**TINY, "_partial_": "yes"}, {**TINY, "_recursive_": 3}, {**TINY, "_args_": 3}])
def test_words_of_hydra_s_that_are_none_are_the_user_s_to_know(config: Config) -> None:
    assert "cannot be built from its config" in refused(config, "backbone")


# --- whole plans ---


def strangers(folder: Path, change: Callable[[Config], Config]) -> Path:
    """A study's folder whose plan names something else, in all of its places, with signatures that hold."""
    plan = plan_study(["fusion=conv", FAST, f"run.folder={folder}/study", f"run.data={folder}/data"]).plan
    jobs = [replace(job, config=change(json.loads(json.dumps(job.config)))) for job in plan.jobs]
    arms = []
    for arm in plan.arms:
        config = change(json.loads(json.dumps(arm.config)))
        arms.append(replace(arm, config=config, signature=signature(config)))
    Plan.of(plan.command, jobs, arms).write(folder / "study")
    return folder / "study"


def everywhere(names: tuple[str, ...], evil: Config) -> Callable[[Config], Config]:
    """What lies under one of these names, at any depth, is something else."""

    def change(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                name: evil if name in names and isinstance(one, dict) and "_target_" in one else change(one)
                for name, one in node.items()
            }
        return [change(one) for one in node] if isinstance(node, list) else node

    return change


PLACES = {
    "data": ("dataset",), "flow": ("flow",), "backbone": ("tower", "appearance", "motion"),
    "fusion": ("fusion",), "temporal": ("temporal",),
}  # fmt: skip


@pytest.mark.parametrize("verb", ["work", "test"])
@pytest.mark.parametrize("group", PLACES)
def test_a_stranger_s_study_is_refused_before_anything_of_it_is_run(
    say: Say, trap: Trap, verb: str, group: str
) -> None:
    study = strangers(trap.folder, everywhere(PLACES[group], trap.attacks()["pathlib.Path.touch"]))
    before = sorted(trap.folder.rglob("*"))
    done = say(verb, str(study))
    assert (done.status, done.out) == (2, "")
    assert f"no yaml in conf/{group} has this `_target_`" in done.err and "pathlib.Path.touch" in done.err
    assert sorted(trap.folder.rglob("*")) == before


def test_a_stranger_s_study_on_another_split(say: Say, trap: Trap) -> None:
    study = strangers(trap.folder, everywhere(("dataset",), trap.attacks()["shutil.copyfile"]))
    done = say("test", str(study), "split=2", "--other-split")
    assert done.status == 2 and "no yaml in conf/data" in done.err
    assert not trap.hit.exists()


def test_a_job_of_a_stranger_s_study_by_its_name(say: Say, trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker calls it, which has looked at the plan before; it may be another one since."""
    study = strangers(trap.folder, everywhere(("dataset",), trap.attacks()["shutil.copyfile"]))
    jobs = {job.kind: job for job in read(study).jobs}
    monkeypatch.setenv("FUSIONLAB_DATA", jobs["prepare"].config["run"]["data"])  # folders that the user has allowed
    monkeypatch.setenv("FUSIONLAB_STREAMS", str(jobs["stream"].path(study).parent))
    done = say("work", str(study), "--job", jobs["prepare"].id, "--attempt", "1")
    assert done.status == 2 and "no yaml in conf/data" in done.err
    assert not trap.hit.exists()


def test_old_plans_and_records_are_still_built() -> None:
    """What was ever committed names parts that conf names."""
    kept = [read_record(place) for place in find_records(EXPERIMENTS)]
    assert len(kept) > 100
    for record in kept:
        refuse_foreign(record["config"], "")
    refuse_foreign_plan(plan_study(["fusion=conv,late", "streams=both"]).plan)


def test_every_part_of_the_catalogue_may_be_built() -> None:
    """As many at a time as one config has room for: composing takes longer than the check."""
    left = {group: [*groups()[group]] for group in ("appearance", *GROUPS)}
    left["appearance"], left["backbone"] = left["backbone"][::2], left["backbone"][1::2]
    left["motion"] = left.pop("backbone")
    while any(left.values()):
        chosen = {group: names.pop() for group, names in left.items() if names}
        leaves = {"data.dataset.classes": 2} if chosen.get("data") == "folder" else {}
        config = tree(chosen).with_leaves(leaves)
        refuse_foreign(config, "")


# --- what is typed ---


@pytest.mark.parametrize(
    "word",
    [
        "fusion._target_=os.system", "temporal._target_=os.mkdir", "data.dataset._target_=shutil.copyfile",
        "data.store.flow._target_=builtins.eval", "backbone.motion._target_=subprocess.run",
        "backbone._target_=os.system", "fusion._target_=fusionlab.backbones.tiny.Tiny",
        "data.dataset={_target_:os.mkdir,path:hit}", "data.store.flow.patch_stride={_target_:os.mkdir,path:hit}",
    ],
)  # fmt: skip
def test_a_target_that_is_typed_is_no_yaml_s(say: Say, tmp_path: Path, word: str) -> None:
    for verb in ("plan", "sweep", "train", "summary"):
        done = say(verb, word)
        assert done.status == 2 and "Traceback" not in done.err, done.err
        assert "hit" not in [file.name for file in tmp_path.iterdir()]
        if word.count("._target_") and not word.startswith("backbone._"):
            assert "no yaml in conf/" in done.err and word.partition("=")[2] in done.err


# --- ./conf is code ---

GLOBAL = "# @package _global_\n"
MINE = "from fusionlab.fusion.sum import Sum\n\n\nclass Mine(Sum):\n    pass\n"


def own(folder: Path, place: str, text: str) -> None:
    file = folder / "conf" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def note(folder: Path) -> str:
    return f"using ./conf: {folder / 'conf'} (its yamls name code that is run)\n"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_part.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    own(tmp_path, "fusion/mine.yaml", "_target_: own_part.Mine\n_partial_: true\n")
    return tmp_path


def test_a_part_of_the_user_s_own_is_built_and_its_conf_named_once(say: Say, mine: Path) -> None:
    done = say("plan", "fusion=mine,sum", "seed=0,1")
    assert (done.status, done.err) == (0, note(mine))
    assert "using" not in done.out


def test_of_a_plan_too(say: Say, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    plan = plan_study(["fusion=mine"]).plan
    refuse_foreign_plan(plan)
    (mine / "conf" / "fusion" / "mine.yaml").unlink()
    instantiate._named.cache_clear()
    with pytest.raises(UserError, match="no yaml in conf/fusion"):
        refuse_foreign_plan(plan)


def test_a_yaml_that_came_after_the_first_look(say: Say, mine: Path) -> None:
    assert say("plan", "fusion=mine").status == 0
    own(mine, "fusion/other.yaml", "_target_: own_part.Sum\n_partial_: true\n")
    assert say("plan", "fusion=other").status == 0


@pytest.mark.parametrize(
    ("place", "text", "word"),
    [
        ("experiment/x.yaml", f"{GLOBAL}defaults: [override /fusion: mine]\n", "experiment=x"),
        ("experiment/x.yaml", f"{GLOBAL}defaults: [override /fusion: sum]\nfusion: {{_target_: own_part.Mine}}\n",
         "experiment=x"),
        ("data/x.yaml", "defaults: [brush, _self_]\nstore:\n  flow: {_target_: own_part.Flow}\n", "data=x"),
        ("fusion/x.yaml", "_target_: own_part.make\n_partial_: true\ninner: {_target_: own_part.Inner}\n", "fusion=x"),
    ],
)  # fmt: skip
def test_wherever_a_yaml_places_a_part(say: Say, mine: Path, place: str, text: str, word: str) -> None:
    own(mine, place, text)
    more = (
        "\nfrom fusionlab.video.flow import Dis\nclass Flow(Dis):\n    pass\nclass Inner:\n    pass\n"
        "def make(a, b, inner):\n    assert isinstance(inner, Inner)\n    return Mine(a, b)\n"
    )
    (mine / "own_part.py").write_text(MINE + more, encoding="utf-8")
    sys.modules.pop("own_part", None)
    done = say("plan", word)
    assert done.status == 0, done.err


def test_what_is_no_yaml_of_ours_keeps_nobody_from_working(say: Say, mine: Path) -> None:
    own(mine, "fusion/broken.yaml", "_target_: [unfinished\n")
    own(mine, "other/two.yaml", "_target_: a\n---\n_target_: b\n")
    (mine / "conf" / "fusion" / "bytes.yaml").write_bytes(b"_target_: \xff\xfe")
    assert say("plan", "fusion=mine").status == 0


@pytest.mark.parametrize(
    ("verb", "words"),
    [("summary", ["--json"]), ("signature", []), ("train", ["run.device=tpu"]), ("prepare", ["flow=raft"]),
     ("doctor", ["--json", "flow=raft"]), ("sweep", ["split=0"])],
)  # fmt: skip
def test_every_verb_that_composes_names_a_conf_once_and_keeps_stdout_clean(
    say: Say, mine: Path, verb: str, words: list[str]
) -> None:
    done = say(verb, *words)
    assert done.err.count(note(mine)) == 1 and "using ./conf" not in done.out
    if done.status == 0 and "--json" in words:
        json.loads(done.out)


def test_a_verb_that_builds_from_a_plan_names_a_conf_once(say: Say, trap: Trap) -> None:
    study = strangers(trap.folder, everywhere(("dataset",), trap.attacks()["os.system"]))
    own(trap.folder, "fusion/mine.yaml", "_target_: own_part.Mine\n_partial_: true\n")
    assert say("work", str(study)).err.count(note(trap.folder)) == 1


def test_help_lists_a_conf_and_runs_nothing_of_it(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(mine)
    assert "mine" in groups_text() and capsys.readouterr() == ("", "")


def test_without_a_conf_nothing_is_said(say: Say) -> None:
    assert say("plan", "fusion=conv").err == ""


@pytest.mark.parametrize("line", ["fusion: conv", "data: brush", "backbone: {motion: tiny}", "trainer: float32"])
def test_a_choice_is_no_value_of_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    file = tmp_path / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\n{line}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"a choice of a group is no value of it(.|\n)*defaults: \[override /"):
        tree({"experiment": "mine"})
