"""Imported by the server that bounded processes are forked from: what each would have to load."""

import numpy  # noqa: F401
import pandas  # noqa: F401
import torch  # noqa: F401

import grading.judge  # noqa: F401
import regression_lib  # noqa: F401
from grading.pages import environment, markdown, python

environment().get_template("feedback.html")
markdown("$x$ and **words**")
python("x = 1")
