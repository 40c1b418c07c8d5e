"""The two stages of training, each as a job: a stream, then a cohort above two frozen streams."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from fusionlab.backbones.pretrained import Loaded, load
from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.other_tests import wanted
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, StreamConfig, config_of
from fusionlab.data.dataset import Dataset
from fusionlab.data.module import TwoStreamData
from fusionlab.data.processes import keep_memory
from fusionlab.data.validation import NONE
from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs.callbacks import UserCallbacks
from fusionlab.jobs.chosen import Chosen
from fusionlab.jobs.job_cost import JobCost
from fusionlab.jobs.job_data import open_data
from fusionlab.jobs.measure import Bench
from fusionlab.jobs.provenance import refuse_other_split
from fusionlab.jobs.recorder import Recorder
from fusionlab.jobs.test_results import OneTest
from fusionlab.records.other_tests import OtherTest
from fusionlab.records.record import CHECKPOINT, WEIGHTS, read_records
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.study.recipes import STREAMS, source_of
from fusionlab.training.checkpoint import choose_checkpoints
from fusionlab.training.cohort import Cohort
from fusionlab.training.evaluate import Scores, evaluate_cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import configure_torch
from fusionlab.training.weights import State, fingerprint, read_weights
from fusionlab.two_stream.describe import describe
from fusionlab.two_stream.multitask import of_main_task
from fusionlab.two_stream.net import Net, StreamNet
from fusionlab.two_stream.trunk import Trunk


def train(plan: Plan, study: Path, job: Job, attempt: Attempt) -> None:
    """Train the arms of a job; each is published as soon as it is recorded."""
    run = RunConfig.of(job.config)
    if job.kind == "stream":
        _train_stream(plan, study, job, run, attempt)
    else:
        _train_cohort(plan, study, job, run, attempt)
    if run.keep != "last" and all((attempt.published / name).is_dir() for name in job.arms):
        delete_checkpoints(attempt)


def delete_checkpoints(attempt: Attempt) -> None:
    """Delete the checkpoints of a job whose arms are all published: this attempt's and those of attempts that ended.

    Another attempt may still run without our knowledge; it deletes its own.
    """
    for one in (attempt, *attempt.earlier()):
        if one is attempt or one.end_file.is_file():
            with suppress(OSError):  # a disk that has become read-only: `prune` can do it later
                (one.folder / CHECKPOINT).unlink(missing_ok=True)


def _begin(config: ArmConfig | StreamConfig, job: Job, run: RunConfig, attempt: Attempt) -> Recorder:
    """Set torch as the config has it, open its data, and begin the records of the job."""
    cost = JobCost(job.id, batch=config.stage.batch_size, threads=config.trainer.threads)
    configure_torch(config.trainer.precision, config.trainer.threads)
    keep_memory()
    data = open_data(config.data, run, _say)
    cost.report_device(build.device(run))  # after packing, whose processes are forked and may use the GPU
    return Recorder(attempt, data, run, cost)


def _train_stream(plan: Plan, study: Path, job: Job, run: RunConfig, attempt: Attempt) -> None:
    """Stage one: a whole tower on its own stream, then its scores on the test list."""
    arm, config = plan.arm(job.arms[0]), StreamConfig.of(job.config)
    stream: Any = config.stream
    recorder = _begin(config, job, run, attempt)
    data = recorder.data
    second = None if config.multitask is None else open_data(config.multitask, run, _say)
    net = build.stream_net(config, len(data.dataset.classes))
    tower = net.tower
    if (source := source_of(arm.config)) is None:
        initial = first_weights(tower, config, run, data.dataset)
    else:
        initial = source_weights(tower, config, plan.job(f"{stream}-{source}").path(study), data.dataset)
    chosen = Chosen.of(plan, study, config)
    cohort = Cohort(Trunk(), {arm.name: net}, chosen.recipe, seed=config.seed.dropout)
    cohort.arms[arm.name].signature = arm.signature
    ((_, checkpoint),) = choose_checkpoints({arm.name: attempt.checkpoints(arm.name)})
    training = data.module(config, config.data.sampling.stream_snippets, second=second)
    test = data.module(config)
    recorder.blueprint.expect_views(config, test.test_shapes())
    recorder.prepare(arm)
    outcome = _fit(cohort, training, config, recorder, "stream", checkpoint)[arm.name]
    scores = _test(cohort, test, recorder)
    if (reason := cohort.arms[arm.name].reason) is not None:
        # No cohort can use this stream: the job fails with its arm, and all jobs that need it show its reason.
        recorder.failed(arm, reason, outcome)
        raise UserError(f"the {stream} stream has failed", got=reason, hint="a lower optim.streams.lr")
    assert outcome.state is not None
    videos, state = [name for name, _ in test.entries["test"]], of_main_task(outcome.state)
    if second is not None:
        outcome = replace(outcome, weights=fingerprint(state))
    others = _other_tests(cohort, {arm.name: arm}, recorder)[arm.name]
    size = describe(StreamNet(tower, stream))
    recorder.done(arm, outcome, scores, videos, size, state, initial, others, second, chosen.told)


def first_weights(tower: Tower, config: StreamConfig, run: RunConfig, dataset: Dataset | None = None) -> Loaded | None:
    """Load the weights that the config names into the tower; None if it names none."""
    if config.weights.source is None:
        return None
    return _say_loaded(
        load(tower, config.weights.source, head=config.weights.head, folder=run.weights), config, dataset
    )


def source_weights(tower: Tower, config: StreamConfig, place: Path, dataset: Dataset) -> Loaded:
    """Load the weights that another stream has published in this folder into the tower.

    The classifier is loaded too where both data sets have the same classes.
    """
    result, path, _ = published_stream(place, "stream that this one starts from")
    same = list(result["classes"]) == list(dataset.classes)
    return _say_loaded(load(tower, str(path), head=config.weights.head if same else "fresh"), config, dataset)


def _say_loaded(loaded: Loaded, config: StreamConfig, dataset: Dataset | None) -> Loaded:
    refuse_other_split(loaded, config, dataset)
    _say(f"starts from {loaded.origin} (sha256 {loaded.sha256[:10]}…)")
    for note in loaded.notes:
        _say(f"  {note}")
    return loaded


def _train_cohort(plan: Plan, study: Path, job: Job, run: RunConfig, attempt: Attempt) -> None:
    """Stage two: train the arms of this attempt above the frozen streams in one pass over the data, then test them.

    Arms with different checkpoints are trained one group after the other.
    """
    config = ArmConfig.of(plan.arm(job.arms[0]).config)  # used for options that all arms of a cohort share
    arms = {name: plan.arm(name) for name in (job.arms if attempt.arms is None else attempt.arms)}
    recorder = _begin(config, job, run, attempt)
    data = recorder.data
    classes, content = len(data.dataset.classes), data.content(config.data)
    loaders = data.module(config)
    for names, checkpoint in choose_checkpoints({name: attempt.checkpoints(name) for name in arms}):
        appearance, motion = trained_streams(plan, study, job, config, classes, content)
        nets: dict[str, Net] = {}
        chosen: dict[str, Chosen] = {}
        for name in names:
            try:
                own = ArmConfig.of(arms[name].config)
                recorder.blueprint.expect_views(own, loaders.test_shapes())
                chosen[name] = Chosen.of(plan, study, own)
                nets[name] = build.net(own, appearance, motion)
                recorder.prepare(arms[name])
            except UserError as error:  # known parts were checked by the plan; a user's own may still fail
                recorder.failed(arms[name], str(error))
        if not nets:
            continue
        below = build.trunk(next(iter(nets.values())), appearance, motion)
        recipes = {name: chosen[name].recipe for name in nets}
        cohort = Cohort(below, nets, recipes, seed=config.seed.dropout)
        for name, member in cohort.arms.items():
            member.signature = arms[name].signature
        outcomes = _fit(cohort, loaders, config, recorder, "cohort", checkpoint)
        scores = _test(cohort, loaders, recorder)
        videos = [video for video, _ in loaders.entries["test"]]
        others = _other_tests(cohort, {name: arms[name] for name in nets}, recorder)
        told = {name: chosen[name].told for name in nets}
        record_cohort(recorder, cohort, arms, outcomes, scores, videos, others, told)


def record_cohort(
    recorder: Recorder,
    cohort: Cohort,
    arms: Mapping[str, Arm],
    outcomes: Mapping[str, Outcome],
    scores: Scores,
    videos: list[str],
    others: Mapping[str, Mapping[OtherTest, OneTest]] | None = None,
    chosen: Mapping[str, dict[str, Any] | None] | None = None,
) -> None:
    """Record each arm of a cohort that was tested, and publish those that are done. `chosen`: what it repeats."""
    trunk = cast(Trunk, cohort.trunk)
    for name, outcome in outcomes.items():
        member = cohort.arms[name]
        if member.reason is not None:
            recorder.failed(arms[name], member.reason, outcome)
        else:
            size = describe(member.net, trunk.appearance, trunk.motion)
            own, told = (others or {}).get(name), (chosen or {}).get(name)
            recorder.done(arms[name], outcome, scores, videos, size, outcome.state or {}, others=own, chosen=told)


def _fit(
    cohort: Cohort, data: Any, config: ArmConfig | StreamConfig, recorder: Recorder, job: Any, checkpoint: Any
) -> dict[str, Outcome]:
    run, callbacks = recorder.run, UserCallbacks(config.callbacks)
    recorder.cost.arms = len(cohort.arms)
    second = None if data.second is None else data.second.class_counts()
    for arm in cohort.arms.values():
        arm.weigh_classes(data.class_counts(), second)
    outcomes = fit(
        cohort,
        data,
        folder=recorder.attempt.folder,
        device=build.device(run),
        precision=config.trainer.precision,
        resume_from=checkpoint,
        checkpoint_every=run.checkpoints,
        progress=_say,
        callbacks=callbacks.made,
        observers=[recorder.cost, recorder.loggers],
        validate=config.val.held_out != NONE,
        job=job,
    )
    for name in callbacks.not_restored():
        text = f"interrupted equals undisturbed: the callback {name} has state without a state_dict"
        recorder.not_promised.append(text)
        _say(f"not promised: {text}")
    return outcomes


def _test(cohort: Cohort, data: TwoStreamData, recorder: Recorder) -> Scores:
    recorder.cost.begin("test")
    scores = evaluate_cohort(cohort, data.test_dataloader(), device=build.device(recorder.run))
    recorder.cost.begin("record")
    recorder.cost.test_clips += scores.clips
    return scores


def _other_tests(cohort: Cohort, arms: Mapping[str, Arm], recorder: Recorder) -> dict[str, dict[OtherTest, OneTest]]:
    """By arm: the tests that its network computes beside its own. One that fails leaves the arm as it is."""
    done = {name: one.net for name, one in cohort.arms.items() if one.status == "done" and arms[name].has_row}
    nets = {name: (config_of(arms[name]), net) for name, net in done.items()}
    tests = {name: wanted(recorder.run.asked, config, net.head_names) for name, (config, net) in nets.items()}
    results: dict[str, dict[OtherTest, OneTest]] = {name: {} for name in arms}
    if not any(tests.values()):
        return results
    bench = Bench(recorder.data, cast(Trunk, cohort.trunk), build.device(recorder.run), recorder.blueprint, _say)
    recorder.cost.begin("test")
    for test, own in bench.measure(nets, tests, lambda name, test, why: _say(f"{name}: no test {test.name}: {why}")):
        for name, one in own.items():
            results[name][test] = one
    recorder.cost.begin("record")
    return results


def published_stream(place: Path, what: str) -> tuple[dict[str, Any], Path, State]:
    """The result that a stream's job published, the file of its weights, and these, which must be those of its record.

    `place`: the folder of the job. `what`: the stream, for an error.
    """
    (record,) = read_records(place / "published")
    (path,) = (place / "published").glob(f"*/{WEIGHTS}")
    weights, result = read_weights(path), record["result"]
    if fingerprint(weights) != result.get("weights"):
        hint = f"rm -r '{place}', then the same command"
        raise UserError(f"the weights of the {what} are not those of its record", got=place, hint=hint)
    return result, path, weights


def trained_streams(
    plan: Plan, study: Path, job: Job, config: ArmConfig, classes: int, store: str
) -> tuple[Tower, Tower]:
    """Both towers with the weights of stage one, which must be trained on the same data."""
    towers = build.towers(config.backbone, config.data, classes)
    below = [need for need in map(plan.job, job.needs) if need.kind == "stream"]
    places = {StreamConfig.of(need.config).stream: need.path(study) for need in below}
    for stream, tower in zip(STREAMS, towers, strict=True):
        place = places[stream]
        result, _, weights = published_stream(place, f"{stream} stream")
        if (trained := result.get("data")) != store:
            raise UserError(
                f"the {stream} stream was trained on other data than what is there now", got=trained,
                allowed=[store], hint=f"rm -r '{place}', then the same command",
            )  # fmt: skip
        tower.load_state_dict({name.removeprefix("tower."): one for name, one in weights.items()})
    return towers


def _say(line: str) -> None:
    show(one_line(line))
