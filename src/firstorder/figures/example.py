"""One test task, and what the learner makes of it."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from firstorder.task.episode import Episode

Fits = Mapping[str, Sequence[tuple[int, Tensor]]]  # initialisation -> (inner steps, predictions)


def draw_images(task: Episode, logits: Tensor) -> Figure:
    """Draw a class a row: its support images, then its query images with what is predicted and how sure.

    Args:
        task: of images (n, C, H, W) in [0, 1].
        logits: (m, ways) of the query images.
    """
    chances, predicted = logits.softmax(-1).max(-1)
    ways = int(task.support_y.max()) + 1
    shots, queries = len(task.support_y) // ways, len(task.query_y) // ways
    figure = Figure(figsize=(1.1 * (shots + queries) + 0.6, 1.2 * ways), layout="constrained")
    axes = figure.subplots(ways, shots + queries, squeeze=False)
    for way in range(ways):
        for column, image in enumerate(task.support_x[task.support_y == way]):
            show_image(axes[way, column], image)
        asked = task.query_y == way
        answers = zip(
            task.query_x[asked], predicted[asked].tolist(), chances[asked].tolist(), strict=True
        )
        for column, (image, label, chance) in enumerate(answers, start=shots):
            show_image(axes[way, column], image, "tab:green" if label == way else "tab:red")
            axes[way, column].set_title(f"class {label + 1}, {100 * chance:.0f} %", fontsize=8)
        axes[way, 0].set_ylabel(f"class {way + 1}")
    return figure


def show_image(axes: Axes, image: Tensor, frame: str = "0.8") -> None:
    """Show one image, (C, H, W) in [0, 1], in a frame of the colour given."""
    axes.imshow(image.permute(1, 2, 0), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(color=frame, linewidth=1 if frame == "0.8" else 3)


def draw_curves(task: Episode, fits: Fits) -> Figure:
    """Draw a function of one number and the fits to its support points, a panel an initialisation."""
    figure, panels = _panels(len(fits))
    order = task.query_x[:, 0].argsort()
    x, y = task.query_x[order, 0], task.query_y[order, 0]
    for axes, (title, steps) in zip(panels, fits.items(), strict=True):
        for count, fit in steps:
            shade = 0.25 + 0.75 * count / max(steps[-1][0], 1)
            label = f"{count} steps, MSE {_error(fit, task):.2f}"
            axes.plot(x, fit[order, 0], color="tab:blue", alpha=shade, label=label)
        axes.plot(x, y, "k--", label="target")
        axes.plot(task.support_x[:, 0], task.support_y[:, 0], "k^", label="support points")
        axes.set(title=title, xlabel="x")
        axes.legend(fontsize=7)
    return figure


def raster(points: Tensor) -> tuple[Tensor, int] | None:
    """Return the order in which points, (n, 2), fill an image row by row, and its width.

    None where they are no full grid.
    """
    if points.shape[1:] != (2,):
        return None
    columns, rows = (len(points[:, axis].unique()) for axis in (0, 1))
    if min(columns, rows) < 2 or columns * rows != len(points):
        return None
    order = points[:, 0].argsort(stable=True)
    return order[points[order, 1].argsort(stable=True)], columns


def draw_image(task: Episode, fits: Fits, order: Tensor, width: int) -> Figure:
    """Draw a function of coordinates that gives a shade or a colour, a row an initialisation.

    Args:
        task: of inputs (n, 2) and targets (n, 1) or (n, 3) in [0, 1].
        fits: its predictions.
        order, width: of `raster`, for the query points.
    """
    shown = {name: (("target", task.query_y), *((f"{n} steps", fit) for n, fit in steps))
             for name, steps in fits.items()}  # fmt: skip
    columns = max(map(len, shown.values()))
    figure = Figure(figsize=(1.8 * columns, 2 * len(shown)), layout="constrained")
    places = figure.subplots(len(shown), columns, squeeze=False)
    for row, (name, pictures) in zip(places, shown.items(), strict=True):
        for axes, (title, values) in zip(row, pictures, strict=False):
            image = values[order].reshape(-1, width, values.shape[1]).clamp(0, 1)
            axes.imshow(image, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=8)
        row[0].set_ylabel(name, fontsize=8)
    return figure


def draw_scatter(task: Episode, fits: Fits) -> Figure:
    """Draw predictions against targets, before and after adapting, a panel an initialisation."""
    figure, panels = _panels(len(fits))
    target = task.query_y.flatten()
    for axes, (title, steps) in zip(panels, fits.items(), strict=True):
        for (count, fit), color in zip((steps[0], steps[-1]), ("0.7", "tab:blue"), strict=True):
            label = f"{count} steps, MSE {_error(fit, task):.2f}"
            axes.plot(target, fit.flatten(), ".", color=color, label=label)
        axes.plot([target.min(), target.max()], [target.min(), target.max()], "k--", linewidth=1)
        axes.set(title=title, xlabel="target", ylabel="prediction")
        axes.legend(fontsize=7)
    return figure


def draw_confusion(labels: Tensor, taken: Mapping[str, Tensor], classes: int) -> Figure:
    """Draw how often each class, a row, was taken for each, a column; a panel an initialisation.

    Args:
        labels: (m,) of the query set.
        taken: (m,) the classes that were predicted, by initialisation.
        classes: how many there are.
    """
    figure, panels = _panels(len(taken))
    for axes, (title, predicted) in zip(panels, taken.items(), strict=True):
        counts = (labels * classes + predicted).bincount(minlength=classes**2)
        axes.imshow(counts.reshape(classes, classes), cmap="Blues")
        right = (labels == predicted).float().mean().item()
        axes.set(title=f"{title}: {100 * right:.0f} % right", xlabel="predicted", ylabel="class")
    return figure


def _panels(number: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(4.5 * number, 3.5), layout="constrained")
    return figure, figure.subplots(1, number, sharey=True, squeeze=False)[0]


def _error(fit: Tensor, task: Episode) -> float:
    return (fit - task.query_y).square().mean().item()
