"""show the state of a study: stages, jobs and where they run, workers, failures, the time left

    python -m fusionlab.status runs/my-study
    python -m fusionlab.status runs/my-study --json

It reads the study's folder, so it is the same on every machine that sees it. Of large studies jobs and arms are
counted, and only what runs or failed is named. Exit code 0: all arms are done; 1: some are not (yet).
"""

from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, show

FLAGS = {
    "--jobs": "list every job, also where there are many",
    "--arms": "list every arm, also where there are many",
    "--json": "all of it as one JSON object",
}


def main(words: list[str], jobs: bool = False, arms: bool = False, json: bool = False) -> int:
    """Read the folder and ask for workers; change nothing."""
    from fusionlab.monitor.live import Live
    from fusionlab.monitor.status import Status
    from fusionlab.monitor.status_json import status_json
    from fusionlab.monitor.status_text import status_text
    from fusionlab.records.files import to_json
    from fusionlab.study.launchers.all_workers import all_workers

    if len(words) != 1:
        raise UserError(
            "status needs the folder of one study",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.status runs/my-study",
        )
    status = Status(words[0])
    view = Live(status, again=False).look(*all_workers(Path(words[0])))
    content = to_json(status_json(view, status.plan, status.study)).rstrip() if json else None
    show(status_text(view, jobs=jobs, arms=arms) if content is None else content)
    return 0 if all(row.state == "done" for row in view.summary.arms) else 1


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
