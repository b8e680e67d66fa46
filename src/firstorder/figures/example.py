"""One test task, and what the learner makes of it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from firstorder.inner_loop import trajectory
from firstorder.run.learner import MetaLearner
from firstorder.task.episode import Episode


def draw_example(learner: MetaLearner, task: Episode) -> Figure:
    """Draw a task of the kind that the learner knows, with its predictions."""
    draw = {"classification": draw_images, "regression": draw_curves}[learner.kind]
    return draw(learner, task.to_float(learner.phi.dtype))


def draw_images(learner: MetaLearner, task: Episode) -> Figure:
    """Draw a class a row: its support images, then its query images with the predicted classes."""
    predicted = learner.network(learner.adapt(task), task.query_x).argmax(-1)
    ways = int(task.support_y.max()) + 1
    shots, queries = len(task.support_y) // ways, len(task.query_y) // ways
    figure = Figure(figsize=(1.1 * (shots + queries) + 0.6, 1.2 * ways), layout="constrained")
    axes = figure.subplots(ways, shots + queries, squeeze=False)
    for way in range(ways):
        for column, image in enumerate(task.support_x[task.support_y == way]):
            show_image(axes[way, column], image)
        asked = task.query_y == way
        for column, (image, label) in enumerate(
            zip(task.query_x[asked], predicted[asked].tolist(), strict=True), start=shots
        ):
            show_image(axes[way, column], image, "tab:green" if label == way else "tab:red")
            axes[way, column].set_title(f"predicted {label + 1}", fontsize=8)
        axes[way, 0].set_ylabel(f"class {way + 1}")
    return figure


def show_image(axes: Axes, image: Tensor, frame: str = "0.8") -> None:
    """Show one image, (C, H, W) in [0, 1], in a frame of the colour given."""
    axes.imshow(image.permute(1, 2, 0), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(color=frame, linewidth=1 if frame == "0.8" else 3)


def draw_curves(learner: MetaLearner, task: Episode) -> Figure:
    """Draw the wave and the fits to its support points, from the learnt and a random initialisation."""
    optimizer, batches = learner.evaluation_optimizer(), list(task.support_batches())
    starts = {
        "random initialisation": (learner.network.initial(), optimizer.init(learner.phi.detach())),
        f"after {learner.algorithm.name}": (learner.phi.detach(), learner.inner_state),
    }
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, (title, (phi, state)) in zip(
        figure.subplots(1, 2, sharey=True), starts.items(), strict=True
    ):
        points = [phi, *(s.phi for s in trajectory(learner.loss, optimizer, phi, state, batches))]
        for count in sorted({0, 1, min(8, len(batches)), len(batches)}):
            fit = learner.network(points[count], task.query_x)
            error = (fit - task.query_y).square().mean()
            label = f"{count} steps, MSE {error:.2f}"
            shade = 0.25 + 0.75 * count / len(batches)
            axes.plot(
                task.query_x[:, 0], fit.detach()[:, 0], color="tab:blue", alpha=shade, label=label
            )
        axes.plot(task.query_x[:, 0], task.query_y[:, 0], "k--", label="sine wave")
        axes.plot(task.support_x[:, 0], task.support_y[:, 0], "k^", label="support points")
        axes.set(title=title, xlabel="x")
        axes.legend(fontsize=7)
    return figure
