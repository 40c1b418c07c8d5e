"""plan.json as older versions wrote it: schema 1, with whole configs, those of a cohort's arms also in its job."""

import json
from dataclasses import asdict

from fusionlab.records.files import write_json
from fusionlab.study.plan import FILE


def old_plan(plan):
    """The content of the file."""
    content = {"schema": 1, **json.loads(json.dumps(asdict(plan)))}
    del content["refused"]
    for arm in content["arms"]:
        del arm["control"]
    for job in content["jobs"]:
        if job["kind"] == "cohort":
            job["config"] = {"arms": [plan.arm(name).config for name in job["arms"]], **job["config"]}
    return content


def write_old_plan(plan, study):
    write_json(study / FILE, old_plan(plan))
