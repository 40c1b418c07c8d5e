"""The two stages of training, each as a job: a stream, then a cohort above two frozen streams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionlab.backbones.pretrained import Loaded, load
from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.data import memory
from fusionlab.data.dataset import Dataset
from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs.callbacks import UserCallbacks
from fusionlab.jobs.frame_sizes import expect_frames
from fusionlab.jobs.job_data import open_data
from fusionlab.jobs.provenance import refuse_other_split
from fusionlab.jobs.recorder import Recorder, published_weights
from fusionlab.records.record import read_records
from fusionlab.records.signature import value
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.study.recipes import STREAMS, data_recipe
from fusionlab.training.checkpoint import choose_checkpoints
from fusionlab.training.cohort import Cohort
from fusionlab.training.evaluate import evaluate_cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import configure_torch, parse_recipe
from fusionlab.training.weights import fingerprint, read_weights
from fusionlab.two_stream.describe import describe
from fusionlab.two_stream.net import Net
from fusionlab.two_stream.stream import StreamNet
from fusionlab.two_stream.trunk import Trunk


def train_stream(arm: Arm, config: dict[str, Any], attempt: Attempt) -> None:
    """Stage one: a whole tower on its own stream, then its scores on the test list."""
    run, stream, optim = config["run"], config["stream"], config["optim"]
    configure_torch(config["trainer"])
    memory.keep()
    data = open_data(data_recipe(config), run, _say, quarantine=value(config, "data.quarantine"))
    recorder = Recorder(attempt, data, run)
    tower = build.tower(config["tower"], stream, config["data"], len(data.dataset.classes))
    net = StreamNet(tower, stream, seed=config["seed"]["init"])
    initial = first_weights(tower, config, run, data.dataset)
    sampling = config["data"]["sampling"]

    def loaders(snippets: int) -> Any:
        return data.module(config, streams=stream, snippets=snippets, batch_size=optim["batch_size"])

    cohort = Cohort(Trunk(), {arm.name: net}, parse_recipe(optim), seed=config["seed"]["dropout"])
    ((_, checkpoint),) = choose_checkpoints({arm.name: attempt.checkpoints(arm.name)})
    data_in = loaders(sampling["stream_snippets"])
    outcome = _fit(cohort, data_in, config, attempt, recorder, "stream", checkpoint)[arm.name]
    test = loaders(sampling["snippets"])
    scores = evaluate_cohort(cohort, test.test_dataloader(), device=build.device(run))
    if (reason := cohort.arms[arm.name].reason) is not None:
        # Nothing can stand on this stream: the job fails with its arm, and its reason is shown on all that need it.
        recorder.failed(arm, reason, outcome)
        raise UserError(f"the {stream} stream has failed", got=reason, hint="a lower optim.streams.lr")
    assert outcome.state is not None
    videos = [name for name, _ in test.entries["test"]]
    recorder.done(arm, outcome, scores, videos, describe(net), outcome.state, initial)


def first_weights(
    tower: Tower, config: dict[str, Any], run: Mapping[str, Any], dataset: Dataset | None = None
) -> Loaded | None:
    """Load what the recipe says on top of the tower's draws; nothing where they are all there is."""
    weights = config.get("weights") or {}  # not there in a recipe from before weights could be loaded
    if weights.get("source") is None:
        return None
    loaded = load(tower, weights["source"], head=weights.get("head", "keep"), folder=run.get("weights"))
    refuse_other_split(loaded, config, dataset)
    _say(f"starts from {loaded.origin} (sha256 {loaded.sha256[:10]}…)")
    for note in loaded.notes:
        _say(f"  {note}")
    return loaded


def train_cohort(plan: Plan, study: Path, job: Job, attempt: Attempt) -> None:
    """Stage two: the arms that this attempt took, above the frozen streams, in one pass over the data; then their
    scores. Arms of several checkpoints are trained one group after the other.
    """
    config, run = job.config["arms"][0], job.config["run"]
    arms = {name: plan.arm(name) for name in (job.arms if attempt.arms is None else attempt.arms)}
    configure_torch(config["trainer"])
    memory.keep()
    data = open_data(data_recipe(config), run, _say, quarantine=value(config, "data.quarantine"))
    recorder = Recorder(attempt, data, run)
    classes, content = len(data.dataset.classes), data.content(config)
    optim, blueprint = config["optim"]["fusion"], build.Blueprint()
    loaders = data.module(
        config, streams="both", snippets=config["data"]["sampling"]["snippets"], batch_size=optim["batch_size"]
    )
    for names, checkpoint in choose_checkpoints({name: attempt.checkpoints(name) for name in arms}):
        appearance, motion = trained_streams(plan, study, job, config, classes, content)
        nets: dict[str, Net] = {}
        for name in names:
            try:
                expect_frames(arms[name].config, loaders.test_sizes(), blueprint)
                nets[name] = build.net(arms[name].config, appearance, motion)
            except UserError as error:  # known parts were checked by the plan; a user's own may still fail
                recorder.failed(arms[name], str(error))
        if not nets:
            continue
        cohort = Cohort(Trunk(appearance, motion), nets, parse_recipe(optim), seed=config["seed"]["dropout"])
        outcomes = _fit(cohort, loaders, {**config, "run": run}, attempt, recorder, "cohort", checkpoint)
        scores = evaluate_cohort(cohort, loaders.test_dataloader(), device=build.device(run))
        videos = [video for video, _ in loaders.entries["test"]]
        for name, outcome in outcomes.items():
            if (reason := cohort.arms[name].reason) is not None:
                recorder.failed(arms[name], reason, outcome)
            else:
                size = describe(nets[name], appearance, motion)
                recorder.done(arms[name], outcome, scores, videos, size, outcome.state or {})


def _fit(
    cohort: Cohort, data: Any, config: dict[str, Any], attempt: Attempt, recorder: Recorder, job: Any, checkpoint: Any
) -> dict[str, Outcome]:
    run, callbacks = config["run"], UserCallbacks(value(config, "callbacks"))
    outcomes = fit(
        cohort,
        data,
        folder=attempt.folder,
        device=build.device(run),
        precision=config["trainer"]["precision"],
        resume_from=checkpoint,
        checkpoint_every=run["checkpoint_every"],
        progress=_say,
        callbacks=callbacks.made,
        observers=[recorder.loggers],
        job=job,
    )
    for name in callbacks.not_restored():
        text = f"interrupted equals undisturbed: the callback {name} has state without a state_dict"
        recorder.not_promised.append(text)
        _say(f"not promised: {text}")
    return outcomes


def trained_streams(
    plan: Plan, study: Path, job: Job, config: dict[str, Any], classes: int, store: str
) -> tuple[Tower, Tower]:
    """Both towers with the weights of stage one, which must be those of its record, from the data at hand."""
    towers = build.towers(config, classes)
    for stream, tower in zip(STREAMS, towers, strict=True):
        place = next(plan.job(need).path(study) for need in job.needs if need.startswith(stream))
        (record,) = read_records(place / "published")
        weights = read_weights(published_weights(place))
        if fingerprint(weights) != record["result"].get("weights"):
            raise UserError(f"the weights of the {stream} stream are not those of its record", got=place)
        trained = record["result"].get("data")
        if trained != store:
            raise UserError(
                f"the {stream} stream was trained on other data than what is there now", got=trained,
                allowed=[store], hint=f"rm -r '{place}', then the same command",
            )  # fmt: skip
        tower.load_state_dict({name.removeprefix("tower."): one for name, one in weights.items()})
    return towers


def _say(line: str) -> None:
    show(one_line(line))
