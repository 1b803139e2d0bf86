"""TensorBoard's event files, by the tensorboard package alone: who runs a search loads no torch."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nas.report.graph import graph_of
from search_spaces.spec import NetworkSpec

PROJECTOR = "projector_config.pbtxt"
"""The file in a run's folder that makes TensorBoard show points (`Events.points`)."""
POINTS = "points"
"""The folder of these points."""

Layout = Mapping[str, Mapping[str, Sequence[str]]]
"""Tags of each chart by its title, by the title of its category."""


class Events:
    """One event file.

    Args:
        folder: where; made if it isn't there.
        flush: seconds between writes to disk.

    Attributes:
        moment: the wall time of what is written next, Unix time; None: now.

    All methods raise OSError where the file can't be written.
    """

    def __init__(self, folder: Path, flush: float = 120) -> None:
        self.folder = folder
        self.moment: float | None = None
        self._file = EventFileWriter(str(folder), flush_secs=flush)

    def scalar(self, tag: str, value: float, step: int, about: str = "") -> None:
        """A point of a curve; `about`, with the first of them, is shown beside its name."""
        point = summary_pb2.Summary.Value(tag=tag, simple_value=float(value))
        if about:
            owner = summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars")
            point.metadata.CopyFrom(
                summary_pb2.SummaryMetadata(
                    summary_description=about, plugin_data=owner, data_class=summary_pb2.DATA_CLASS_SCALAR
                )
            )
        self._summary([point], step)

    def image(self, tag: str, pixels: NDArray[np.uint8], step: int) -> None:
        """A picture, (H, W, 3)."""
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        height, width, _ = pixels.shape
        picture = summary_pb2.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=content.getvalue()
        )
        self._summary([summary_pb2.Summary.Value(tag=tag, image=picture)], step)

    def histogram(self, tag: str, values: NDArray[Any], edges: NDArray[Any], step: int) -> None:
        """How many of `values`, (n,), lie between the edges, which are one more than the bars."""
        numbers = values.astype(float)
        counts, _ = np.histogram(numbers, bins=edges)
        histogram = summary_pb2.HistogramProto(
            min=numbers.min(),
            max=numbers.max(),
            num=len(numbers),
            sum=numbers.sum(),
            sum_squares=numbers @ numbers,
            # a bar is said by its right edge: an empty one gives the first its left
            bucket_limit=[float(edge) for edge in edges],
            bucket=[0.0, *(float(count) for count in counts)],
        )
        self._summary([summary_pb2.Summary.Value(tag=tag, histo=histogram)], step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """A text, shown as Markdown."""
        self._write(summary=text_pb(tag, markdown), step=step)

    def layout(self, layout: Layout) -> None:
        """The Custom Scalars dashboard."""
        categories = [
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(title=name, multiline=layout_pb2.MultilineChartContent(tag=list(tags)))
                    for name, tags in charts.items()
                ],
            )
            for title, charts in layout.items()
        ]
        # the dashboard's own maker of this wants TensorFlow
        content = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING,
            string_val=[layout_pb2.Layout(category=categories).SerializeToString()],
            tensor_shape=tensor_shape_pb2.TensorShapeProto(),
        )
        owner = summary_pb2.SummaryMetadata.PluginData(plugin_name=custom_scalars.PLUGIN_NAME)
        value = summary_pb2.Summary.Value(
            tag=custom_scalars.CONFIG_SUMMARY_TAG,
            tensor=content,
            metadata=summary_pb2.SummaryMetadata(plugin_data=owner),
        )
        self._summary([value], 0)

    def trial_columns(self, choices: Mapping[str, Sequence[float | str]], metrics: Sequence[str]) -> None:
        """What the HParams dashboard has a column for: values by name, and metrics."""
        columns = [hparams.HParam(name, hparams.Discrete(values)) for name, values in choices.items()]
        shown = [hparams.Metric(name) for name in metrics]
        self._write(summary=hparams.hparams_config_pb(columns, shown, time.time()))

    def graph(self, spec: NetworkSpec) -> None:
        """A network in the Graphs dashboard."""
        definition = graph_of(spec)
        self._write(graph_def=definition.SerializeToString())

    def points(self, name: str, rows: NDArray[np.float32], labels: Sequence[Mapping[str, object]]) -> None:
        """Points in the Projector dashboard: (n, dimensions), each with its labels."""
        folder = self.folder / POINTS
        folder.mkdir(exist_ok=True)
        table = ["\t".join(labels[0]), *("\t".join(map(str, row.values())) for row in labels)]
        (folder / "metadata.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
        lines = ("\t".join(f"{value:g}" for value in row) + "\n" for row in rows)
        (folder / "tensors.tsv").write_text("".join(lines), encoding="utf-8")
        places = f'tensor_path: "{POINTS}/tensors.tsv" metadata_path: "{POINTS}/metadata.tsv"'
        content = f'embeddings {{ tensor_name: "{name}" {places} }}\n'
        (self.folder / PROJECTOR).write_text(content, encoding="utf-8")

    def flush(self) -> None:
        """Write what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _summary(self, values: list[Any], step: int) -> None:
        self._write(summary=summary_pb2.Summary(value=values), step=step)

    def _write(self, **content: Any) -> None:
        self._file.add_event(event_pb2.Event(wall_time=self.moment or time.time(), **content))
