"""What can go wrong in the workshop, said in sentences."""

from mien.events import MienError


class WorkshopError(MienError):
    """The workshop cannot do what was asked; the message says why and what to do."""


class DatasetError(WorkshopError, ValueError):
    """A data file is missing, broken or does not hold what was expected."""


class TrainingError(WorkshopError, RuntimeError):
    """A training run cannot begin, go on or be saved."""
