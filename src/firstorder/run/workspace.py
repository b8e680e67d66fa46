"""A Weights & Biases workspace as code: what runs log, averaged over the seeds of a group."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from firstorder.run.connection import reach_server
from firstorder.run.wandb_content import STEP
from firstorder.settings import Filename, check, declarations

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import LinePlot
    from wandb_workspaces.workspaces import Section, Workspace

PROTOCOLS = {"transductive": "transductive", "non_transductive": "non-transductive", "mse": "error"}
MONITORED = {
    "val": "validation tasks", "test_tasks": "test tasks", "train_tasks": "tasks of training classes",
}  # fmt: skip
LOSSES = {
    "train/loss_before": "inner loss at the first step",
    "train/loss_after": "inner loss at the last step",
    "train/outer_lr": "outer step size",
}


@dataclass(frozen=True, kw_only=True)
class WorkspaceSettings:
    """Say where the workspace is saved.

    Attributes:
        entity: the user or team; the account's own where None.
        project: the project of the runs.
    """

    entity: Filename | None = None
    project: Filename = "firstorder"

    def __post_init__(self) -> None:
        for name, declared in declarations(WorkspaceSettings).items():
            check(name, getattr(self, name), declared)


def build_workspace(entity: str, project: str) -> "Workspace":
    """Return the workspace, unsaved: runs grouped by group and job type, curves with bands over seeds.

    Raises:
        ValueError: the package that describes workspaces is not installed.
    """
    try:
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise ValueError(
            "workspaces need the package wandb-workspaces: pip install 'firstorder[wandb]'"
        ) from error
    return ws.Workspace(
        entity=entity,
        project=project,
        name="firstorder",
        sections=sections(),
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=50),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Metric("Group"), ws.Metric("JobType")],
            pinned_columns=[f"summary:test/{protocol}" for protocol in PROTOCOLS],
        ),
    )


def sections() -> list["Section"]:
    """Return the panels: learning curves, the table of cells, adaptation, training, pictures."""
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces.workspaces import Section

    bars = [
        wr.BarPlot(title=f"final test, {words}", metrics=[f"test/{name}"], groupby_aggfunc="mean",
                   groupby_rangefunc="stddev", max_bars_to_show=50)
        for name, words in PROTOCOLS.items()
    ]  # fmt: skip
    learning = [
        averaged(f"{words}, {where}", STEP, f"{place}/{name}", "outer iteration")
        for place, where in MONITORED.items()
        for name, words in PROTOCOLS.items()
    ]
    inner_step = "adaptation/inner_step"
    adaptation = [
        averaged(f"{words}, test tasks", inner_step, f"adaptation/{name}", "inner step")
        for name, words in PROTOCOLS.items()
    ]
    training = [averaged(words, STEP, key, "outer iteration") for key, words in LOSSES.items()]
    table = wr.WeavePanelSummaryTable(table_name="test_table", layout=wr.Layout(w=24, h=10))
    pictures = wr.MediaBrowser(
        title="figures", media_keys=["test_episode", "adaptation", "learning"], num_columns=3
    )
    return [
        Section(name="Learning curves", panels=learning, is_open=True),
        Section(name="Final test", panels=[table, *bars], is_open=True),
        Section(name="Adaptation", panels=adaptation, is_open=True),
        Section(name="Training", panels=training),
        Section(name="Pictures", panels=[pictures]),
    ]


def averaged(title: str, x: str, y: str, axis: str) -> "LinePlot":
    """Return a panel of one measure: a line a group, its mean and one standard deviation over runs."""
    import wandb_workspaces.reports.v2 as wr

    return wr.LinePlot(
        title=title, x=x, y=[y], title_x=axis, aggregate=True, groupby_aggfunc="mean",
        groupby_rangefunc="stddev", max_runs_to_show=50,
    )  # fmt: skip


def save_workspace(settings: WorkspaceSettings) -> str:
    """Save the workspace and return its address.

    Raises:
        ValueError: there is no API key, the server does not answer, or it refuses.
    """
    import wandb

    build_workspace("", settings.project)  # before an account is asked for
    if not wandb.login(prompt=False, verify=False):
        raise ValueError(
            "a workspace is kept by the server of Weights & Biases, and there is no API key here:"
            " run `wandb login` or set WANDB_API_KEY"
        )
    if answer := reach_server():
        raise ValueError(f"Weights & Biases cannot be reached ({answer}): no workspace was saved")
    try:
        entity = settings.entity or wandb.Api().default_entity
        return str(build_workspace(str(entity), settings.project).save().url)
    except (wandb.Error, requests.RequestException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Weights & Biases did not save the workspace: {reason}") from error
