"""The small studies of tests/fakes, as fixtures."""

from small_studies import argv as argv
from small_studies import make as make
from small_studies import make_plan as make_plan
