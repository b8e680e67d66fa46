import numpy as np
import torch

from firstorder.figures.contact_sheet import _sheet, draw_episodes
from firstorder.task.episode import Episode


def episode(channels: int, query_shots: int = 2) -> Episode:
    labels, asked = torch.arange(3).repeat_interleave(4), torch.arange(3).repeat(query_shots)
    support = labels[:, None, None, None].expand(-1, channels, 5, 5).to(torch.uint8)
    query = 100 + asked[:, None, None, None].expand(-1, channels, 5, 5).to(torch.uint8)
    return Episode(
        support, labels, query, asked, torch.zeros(1, 1, dtype=torch.int64), torch.tensor(0)
    )


def test_a_class_is_a_row_and_query_images_follow_support_images() -> None:
    sheet = _sheet(episode(1))
    assert sheet.shape == (3 * 7, 4 * 7 + 6 + 2 * 7, 3)
    centres = sheet[3::7, :, 0]
    assert centres[:, 3:28:7].tolist() == [[way] * 4 for way in range(3)]
    assert centres[:, 37::7].tolist() == [[100 + way] * 2 for way in range(3)]


def test_colour_stays_colour() -> None:
    coloured = episode(3)
    coloured.support_x[:, 1] = 9
    assert np.array_equal(_sheet(coloured)[3, 3], [0, 9, 0])


def test_every_episode_has_its_axes() -> None:
    assert len(draw_episodes([episode(1), episode(1), episode(1)]).axes) == 3


def test_an_episode_may_have_no_query_images() -> None:
    assert _sheet(episode(1, query_shots=0)).shape == (3 * 7, 4 * 7 + 6, 3)
