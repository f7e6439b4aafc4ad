"""From raw MRI and CT measurements to images; `__init__.pyi` names what is public, and a name is imported when it is first used."""

import lazy_loader

from medrecon._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
