"""The one Definitions object. It only assembles."""

import dagster as dg

from voice_pipeline.orchestration.assets import ASSETS
from voice_pipeline.orchestration.jobs import JOBS
from voice_pipeline.orchestration.selection import allow_plain_selections
from voice_pipeline.orchestration.sensors import SENSORS
from voice_pipeline.orchestration.workspace import Workspace

allow_plain_selections()

defs = dg.Definitions(
    assets=ASSETS,
    jobs=JOBS,
    sensors=SENSORS,
    resources={"workspace": Workspace()},
    executor=dg.in_process_executor,
)
