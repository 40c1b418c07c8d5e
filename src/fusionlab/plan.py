"""show what a sweep would train, its price, and what is done already; nothing is started

    python -m fusionlab.plan fusion=conv,sum layer=relu3,relu5 seed=0,1
    python -m fusionlab.plan fusion=conv,sum layer=relu5 calibrate=true

The same options typed after `fusionlab.sweep` train it. Times come from earlier jobs on machines of this class;
calibrate=true measures some steps of each job instead, on synthetic clips.
"""

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import show

FLAGS = {**OPTIONS, "--arms": "list every arm, also where there are many", "--json": "all numbers as one JSON object"}


def main(words: list[str], arms: bool = False, json: bool = False) -> int:
    """Compose and check the whole grid, as `sweep` does before it starts."""
    from fusionlab.planning.price_plan import plan_with_price
    from fusionlab.pricing.price_json import price_json
    from fusionlab.pricing.price_text import price_text
    from fusionlab.records.files import to_json

    price = plan_with_price(words)
    show(to_json(price_json(price)).rstrip() if json else price_text(price, arms))
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
