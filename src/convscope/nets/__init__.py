"""The architectures, one paper a file, and their torch-free catalogue."""

from typing import TYPE_CHECKING, Any

from convscope.api.lazy import submodule

if TYPE_CHECKING:
    from convscope.nets import build as build
    from convscope.nets import catalogue as catalogue
else:

    def __getattr__(name: str) -> Any:
        """Import a module of the package on first use."""
        return submodule(__name__, __path__, name)
