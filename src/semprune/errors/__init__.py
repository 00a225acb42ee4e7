"""Typed errors that compose their own remedy: what was wrong, what was got, what to do.

Every error a user can cause derives from :class:`SempruneError`; the command line prints it as
``ErrorName: message`` and exits with status 2, without a traceback.

Each room's errors stand in a file of its name.
"""

from semprune.errors.artefacts import *
from semprune.errors.assets import *
from semprune.errors.attribution import *
from semprune.errors.backbones import *
from semprune.errors.base import *
from semprune.errors.data import *
from semprune.errors.evaluation import *
from semprune.errors.machine import *
from semprune.errors.pruning import *
from semprune.errors.sharing import *

__all__ = sorted(name for name, each in globals().items() if isinstance(each, type) and issubclass(each, SempruneError))
