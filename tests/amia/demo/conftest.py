"""Fixtures of the tests of the demo's weights."""

import logging

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def single_thread():
    """Run with one thread, since a second one slows such small models down."""
    previous = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(previous)


@pytest.fixture
def logged():
    """Collect the warnings that transformers and diffusers log."""
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    loggers = [logging.getLogger(name) for name in ("transformers", "diffusers")]
    for logger in loggers:
        logger.addHandler(handler)
    yield records
    for logger in loggers:
        logger.removeHandler(handler)
