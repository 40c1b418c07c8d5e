"""What may not be written down: results that hang on the environment, and secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminal import FAST, Done, Lab

from fusionlab.config.compose import tree
from fusionlab.config.mask_secrets import MASK, masked, masked_word, secret
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import flatten

Say = Callable[..., Done]

HIDDEN = "s3cr3t-0f-the-user"
GLOBAL = "# @package _global_\n"
RUN = "# @package run.logger\nname: none\n"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a yaml of the user's own; the working directory is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("X", "3")
    monkeypatch.delenv("NOT_SET", raising=False)

    def write(place: str, text: str) -> None:
        file = tmp_path / "conf" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    return write


# --- the environment ---

HASHED = {
    "itself": "split: ${oc.env:X}",
    "not set, with a default": "split: ${oc.env:NOT_SET,1}",
    "not set": "split: ${oc.env:NOT_SET}",
    "decoded": "split: ${oc.decode:${oc.env:X}}",
    "created": "backbone: {motion: {dropout: '${oc.create:{fc6: ${oc.env:X}}}'}}",
    "in a text": "layer: relu${oc.env:X}",
    "in a list": "optim: {fusion: {betas: [0.9, '${oc.env:X}']}}",
    "deep": "data: {store: {codec: {quality: '${oc.decode:${oc.env:X}}'}}}",
    "by another leaf": "seed: {init: '${split}'}\nsplit: ${oc.env:X}",
    "by a folder of run": "weights: {motion: '${run.weights}'}",
    "by two others": "a: ${b}\nb: ${c}\nc: ${oc.env:X}\nsplit: ${a}",
    "by a selection": "a: ${oc.env:X}\nsplit: ${oc.select:a,1}",
    "by a name that is put together": "a: oc.env\nsplit: '${${a}:X}'",
    "a whole group": "a: {fc6: '${oc.env:X}'}\nbackbone: {motion: {dropout: '${a}'}}",
    "the clock": "split: ${oc.decode:${now:%d}}",
    "videos": "data: {quarantine: '${oc.env:X}'}",
}


@pytest.mark.parametrize("how", HASHED)
def test_what_is_hashed_may_not_come_from_the_environment(say: Say, conf: Callable[[str, str], None], how: str) -> None:
    conf("experiment/mine.yaml", f"{GLOBAL}{HASHED[how]}\n")
    done = say("plan", "experiment=mine")
    assert done.status == 2, done.out
    assert "may not come from the environment" in done.err and "=…, typed" in done.err


@pytest.mark.parametrize(
    "word", ["layer=${oc.env:X}", "above=fresh,${oc.env:X}", "weights.motion=${oc.env:X}.pt", "above=${oc.env:X,fresh}",
             "data.dataset.vocabulary=${run.data}", "backbone.motion.dropout=${oc.env:X}",
             "data.store.size=[${oc.env:X}]", "data.store.size={a:${oc.env:X}}"]
)  # fmt: skip
def test_nor_where_it_is_typed(say: Say, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("X", "relu5")
    for verb in ("plan", "prepare") if "=fresh," not in word else ("plan",):
        done = say(verb, word)
        assert done.status == 2 and "Traceback" not in done.err
        name = word.partition("=")[0]
        assert name in done.err
        if name != "backbone.motion.dropout":  # of which it is said that it is a number
            assert "may not come from the environment" in done.err, done.err


def test_nor_a_choice(say: Say, conf: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "sum")
    conf("experiment/mine.yaml", f"{GLOBAL}defaults:\n  - override /fusion: ${{oc.env:X}}\n")
    done = say("plan", "experiment=mine")
    assert done.status == 2 and "a choice may not come from the environment" in done.err and "oc.env:X" in done.err


def test_what_refers_to_a_leaf_of_the_config_does_as_before(conf: Callable[[str, str], None]) -> None:
    conf("experiment/mine.yaml", f"{GLOBAL}above: ${{into}}\nsplit: ${{seed.init}}\nseed: {{init: 2}}\n")
    config = tree({"experiment": "mine"}).with_leaves({"into": "motion"})
    assert (config["above"], config["split"]) == ("motion", 2)


@pytest.mark.parametrize(
    "text",
    ["entity: ${oc.env:X}", "entity: ${oc.env:NOT_SET,null}", "entity: {a: ['${oc.env:X}']}", "entity: ${run.data}"],
)
def test_of_run_nothing_but_folders_comes_from_the_environment(
    say: Say, conf: Callable[[str, str], None], text: str
) -> None:
    conf("logger/mine.yaml", f"{RUN}{text}\n")
    done = say("plan", "logger=mine")
    assert done.status == 2
    for part in ("only folders", "run.logger.entity", "run.root, run.folder, run.data", "WANDB_API_KEY", "typed"):
        assert part in done.err


@pytest.mark.parametrize("leaf", ["device", "workers", "grid", "table.caption"])
def test_nor_what_run_has_itself(say: Say, conf: Callable[[str, str], None], leaf: str) -> None:
    value = "{seed: ['${oc.env:X}']}" if leaf == "grid" else "'${oc.env:X}'"
    above, _, name = leaf.rpartition(".")
    conf(
        "experiment/mine.yaml", f"{GLOBAL}run: {{{f'{above}: {{{name}: {value}}}' if above else f'{name}: {value}'}}}\n"
    )
    done = say("plan", "experiment=mine")
    assert done.status == 2 and "only folders" in done.err and f"run.{leaf}" in done.err


def test_nor_what_a_report_is_titled(conf: Callable[[str, str], None]) -> None:
    conf("table/mine.yaml", "# @package run.table\ncaption: ${oc.env:X}\nrows: varying\ncolumns: [method]\n")
    with pytest.raises(UserError, match="only folders"):
        tree({"table": "mine"}).get("run.table")


def test_folders_may(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FUSIONLAB_DATA", "FUSIONLAB_WEIGHTS", "PLACE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    words = ["run.root=${oc.env:PLACE}", "run.flow=${oc.env:PLACE}/flow"]
    study = plan_study(words)
    assert study.run.data == str(tmp_path / "FUSIONLAB_DATA")
    assert study.run.weights == str(tmp_path / "FUSIONLAB_WEIGHTS")
    assert study.run.flow == str(tmp_path / "PLACE" / "flow")
    assert study.folder.parent == tmp_path / "PLACE"
    assert plan_study([]).plan.signature == study.plan.signature


# --- secrets ---


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "APIKEY", "access-key-id", "token", "hf_token", "client_secret", "SECRETS", "password",
     "db_passwd", "passphrase", "credentials.user", "auth", "authorization", "config.wandb.api_key", "headers.Bearer"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert secret(f"run.logger.{name}")
    assert masked_word(f"run.logger.{name}={HIDDEN}") == f"run.logger.{name}={MASK}"


def test_no_option_that_there_is_has_such_a_name() -> None:
    for table in ("all", "how", "where", "when"):
        config = tree({"table": table, "logger": "wandb"}).with_leaves({})
        assert masked(config, "") == config
        assert masked(config["run"], "run") == config["run"]
        assert not [leaf for leaf in flatten(config) if secret(leaf)]
    assert masked_word("run.data=/keys") == "run.data=/keys" and not secret("run.logger.author")


SECRET_YAML = f"""{RUN}api_key: {HIDDEN}
note: ${{run.logger.api_key}}
token: ${{oc.env:HIDDEN}}
config:
  - password: {HIDDEN}
  - {{credentials: [{HIDDEN}, {{name: {HIDDEN}}}], number: 3}}
more: null
"""
TYPED = [
    f"run.logger.api_key={HIDDEN}", f"run.logger.token='{HIDDEN} a'", f"run.logger.config=[{{password:{HIDDEN}}}]",
    f"run.logger.more={{a:{{apiToken:{HIDDEN}}}}}", f"run.logger.more={{a:[{{key:{HIDDEN}}}]}}",
]  # fmt: skip


@pytest.mark.parametrize("word", ["run.retries=0", *TYPED])
def test_a_secret_is_in_no_plan(conf: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("HIDDEN", HIDDEN)
    conf("logger/mine.yaml", SECRET_YAML)
    study = plan_study(["logger=mine", word])
    assert HIDDEN not in study.plan.to_json() + str(study.folder) + str(study.run)
    assert study.run.tree["logger"]["api_key"] == study.run.tree["logger"]["note"] == MASK
    assert "logger=mine" in study.plan.command and f"{word.partition('=')[0]}=" in study.plan.command
    assert study.plan.signature == plan_study([]).plan.signature


@pytest.mark.parametrize(
    "word",
    [
        *TYPED, f"+run.logger.api_key={HIDDEN}", f"run.logger.api_key=[{HIDDEN}", f"run.logger.config={{token:{HIDDEN}",
        f"run.logger.pasword={HIDDEN}",
        f"run.logger.more={{a:[{{\"my key\":{HIDDEN}}}]}}", f"run.logger.api_key={HIDDEN},b c",
        f"run.retries={{api_key:{HIDDEN}}}",
        f"logger.api_key={HIDDEN}", f"api_key={HIDDEN}", f"run.logger@a.api_key={HIDDEN}", f"run.logger.key={HIDDEN},",
        f"run={{logger:{{api_key:{HIDDEN}}}}}",
    ],
)  # fmt: skip
def test_an_error_shows_no_secret(say: Say, conf: Callable[[str, str], None], word: str) -> None:
    conf("logger/mine.yaml", f"{RUN}api_key: 123\npassword: null\n")
    done = say("plan", "logger=mine", word)
    assert HIDDEN not in done.out + done.err
    assert "Traceback" not in done.err


def test_a_secret_of_any_kind_may_be_typed_over_one(conf: Callable[[str, str], None]) -> None:
    """Nobody reads it, so nobody asks for its kind."""
    conf("logger/mine.yaml", f"{RUN}api_key: 123\ntoken: null\n")
    logger = plan_study(["logger=mine", "run.logger.api_key=abc", "run.logger.token=4"]).run.tree["logger"]
    assert (logger["api_key"], logger["token"]) == (MASK, MASK)


@pytest.mark.slow
def test_after_a_whole_study_a_secret_is_nowhere(fresh: Lab) -> None:
    place = fresh.home / "conf" / "logger"
    place.mkdir(parents=True)
    (place / "mine.yaml").write_text(SECRET_YAML, encoding="utf-8")
    done = fresh.run("sweep", "fusion=sum", FAST, "logger=mine", f"run.logger.api_key={HIDDEN}", HIDDEN=HIDDEN)
    assert done.status == 0, done.err
    assert HIDDEN not in done.out + done.err
    assert done.err.count("using ./conf: ") == 1
    files = [file for file in (fresh.home / "runs").rglob("*") if file.is_file()]
    assert len(files) > 20
    assert not [file for file in files if HIDDEN.encode() in file.read_bytes() or HIDDEN in str(file)]
    assert not [file for file in fresh.data.rglob("*.json") if HIDDEN.encode() in file.read_bytes()]
    records: list[dict[str, Any]] = [json.loads(file.read_bytes()) for file in files if file.name == "run.json"]
    assert any(one["circumstances"]["run"]["logger"].get("api_key") == MASK for one in records)


@pytest.mark.slow
def test_an_older_plan_that_holds_a_secret_makes_records_without_it(fresh: Lab) -> None:
    assert fresh.run("plan", "fusion=sum", FAST).status == 0
    study = plan_study(
        [
            "fusion=sum",
            FAST,
            f"run.folder={fresh.home}/runs/old",
            f"run.root={fresh.home}/runs",
            f"run.data={fresh.data}",
        ]
    )
    study.plan.write(study.folder)
    file = study.folder / "plan.json"
    plan = json.loads(file.read_text(encoding="utf-8"))
    runs = [part for part in plan["parts"] if isinstance(part, dict) and "logger" in part]
    assert runs
    for run in runs:
        run["logger"]["api_key"] = HIDDEN
    file.write_text(json.dumps(plan), encoding="utf-8")
    assert fresh.run("work", str(study.folder)).status == 0
    made = list(study.folder.rglob("run.json"))
    assert made and not [one for one in made if HIDDEN.encode() in one.read_bytes()]


def test_a_leaf_that_there_is_not_is_still_said(say: Say) -> None:
    done = say("plan", "run.logger.api_key=abc")
    assert done.status == 2 and "unknown option" in done.err and "abc" not in done.err


def test_what_is_hashed_is_written_keep_batch() -> None:
    """It is said with all of its value, too."""
    assert masked({"fusion": {"key": 3}}, "") == {"fusion": {"key": 3}} and masked(3, "data.dataset.key") == 3
    with pytest.raises(UserError) as told:
        plan_study(["fusion.key=3"])
    assert "fusion.key" in str(told.value)
